package controller

import (
	"context"
	"fmt"
	"io/fs"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/policy"
)

// Rules are what commits must have to be published.
type Rules struct {
	SignedCommits bool // each by somebody in gitsource.SignersFile or gitsource.KeyringFile
}

// PolicyRules reads the rules of a policy repository from its fleet.yaml.
func PolicyRules(fsys fs.FS) (Rules, error) {
	f, err := policy.LoadFleet(fsys)
	if err != nil {
		return Rules{}, err
	}
	return Rules{SignedCommits: f.Trust.Commits == policy.CommitsSigned}, nil
}

// CheckSigners refuses files in which nobody could sign the next commit, although the rules ask for it.
func CheckSigners(fsys fs.FS) error {
	signers, err := gitsource.SignersIn(fsys)
	if err != nil {
		return err
	}
	if signers.None() {
		return fault.Problems{{Pos: fault.Pos{File: "fleet.yaml"}, Code: "missing-file", Msg: "commits are to be signed, and nobody may sign them",
			Hint: "list the public keys of who may in " + gitsource.SignersFile + ": ada@example.com ssh-ed25519 AAAA…"}}
	}
	return nil
}

// admit refuses a commit that breaks the rules. What was accepted last says what they are and who may sign, so that a
// commit cannot let itself in; every commit since then counts. The first commit of all is held against its own rules.
func (c *Controller) admit(ctx context.Context, commit gitsource.Commit, tree fs.FS) error {
	if c.cfg.Rules == nil {
		return nil
	}
	own, err := c.cfg.Rules(tree)
	if err != nil {
		return failed(FailedPolicy, err)
	}
	if own.SignedCommits {
		if err := CheckSigners(tree); err != nil {
			return failed(FailedPolicy, err)
		}
	}
	from, base, rules := c.cfg.Git.Accepted(), tree, own
	if from != "" {
		last, err := c.cfg.Git.Lookup(from)
		if err != nil {
			return failed(FailedGit, err)
		}
		old, err := c.cfg.Git.Tree(last)
		if err != nil {
			return failed(FailedGit, err)
		}
		base = old
		if rules, err = c.cfg.Rules(old); err != nil {
			return failed(FailedTrust, fmt.Errorf("reading the rules of commit %.12s, which was accepted last: %w", from, err))
		}
	}
	if !rules.SignedCommits {
		return nil
	}
	signers, err := gitsource.SignersIn(base)
	if err != nil {
		return failed(FailedTrust, err)
	}
	return failed(FailedTrust, c.cfg.Git.Verify(ctx, from, commit, signers))
}
