package main

import (
	"context"
	"os"
	"path/filepath"
)

// git is a git command with an author of its own, whatever the user has configured.
func git(dir string, argv ...string) command {
	return command{argv: append([]string{"git", "-C", dir}, argv...), env: []string{
		"GIT_AUTHOR_NAME=bench", "GIT_AUTHOR_EMAIL=bench@example.com", "GIT_COMMITTER_NAME=bench", "GIT_COMMITTER_EMAIL=bench@example.com",
		"GIT_CONFIG_GLOBAL=/dev/null",
	}}
}

// gitCommit commits everything in a folder, which becomes a repository if it is none.
func gitCommit(ctx context.Context, dir, subject string) error {
	var steps []command
	if _, err := os.Stat(filepath.Join(dir, ".git")); err != nil {
		steps = append(steps, git(dir, "init", "-q", "-b", "main"))
	}
	for _, c := range append(steps, git(dir, "add", "-A"), git(dir, "commit", "-q", "-m", subject)) {
		if _, _, err := c.once(ctx); err != nil {
			return err
		}
	}
	return nil
}
