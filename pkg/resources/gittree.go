package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// gitTree is what the files of a working tree say.
type gitTree struct{ url, commit string }

// readGitTree returns nil if there is no working tree, but a place for one.
func readGitTree(h *host.Host, dir string) (*gitTree, error) {
	is, err := look(h, path.Join(dir, ".git"))
	if err != nil {
		return nil, err
	}
	if is == nil {
		top, err := look(h, dir)
		if err != nil || top == nil {
			return nil, err
		}
		entries, err := h.FS.List(dir)
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", dir, err)
		}
		if len(entries) > 0 {
			return nil, fault.WithHint(fmt.Errorf("%s is not empty and no tree of git", dir), "move it away by hand, or name another path")
		}
		return nil, nil
	}
	if is.Kind != host.Dir {
		return nil, fmt.Errorf("%s is a %s, not the directory of a repository", path.Join(dir, ".git"), is.Kind)
	}
	config, err := readIfThere(h, path.Join(dir, ".git/config"))
	if err != nil {
		return nil, err
	}
	t := &gitTree{}
	for _, e := range readIni(textOf(config).lines, "").settings(`remote "origin"`, "url") {
		t.url = e.value
	}
	t.commit, err = readRef(h, path.Join(dir, ".git"), "HEAD", 5)
	return t, err
}

// readRef follows a ref to its commit; "" if there is none yet.
func readRef(h *host.Host, repo, ref string, most int) (string, error) {
	if most == 0 || !isInside(ref) {
		return "", fmt.Errorf("%s: the ref %q leads nowhere", repo, ref)
	}
	text, err := readIfThere(h, path.Join(repo, ref))
	if err != nil {
		return "", err
	}
	text = strings.TrimSpace(text)
	if to, symbolic := strings.CutPrefix(text, "ref: "); symbolic {
		return readRef(h, repo, to, most-1)
	}
	if text != "" {
		return text, nil
	}
	packed, err := readIfThere(h, path.Join(repo, "packed-refs"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(packed) {
		if id, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name == ref {
			return id, nil
		}
	}
	return "", nil
}

func readIfThere(h *host.Host, name string) (string, error) {
	data, err := h.FS.Read(name, maxEdit)
	if errors.Is(err, host.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	return string(data), nil
}

// run runs git and returns what it says. Nothing asks for a password, no hook and no helper of the tree is run.
func (g *Git) run(ctx context.Context, h *host.Host, args ...string) (string, error) {
	env := []string{"GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_PROTOCOL_FROM_USER=0", "GIT_ALLOW_PROTOCOL=https:http:ssh:git:file"}
	ssh := "ssh -oBatchMode=yes"
	if g.Key != "" {
		ssh += " -oIdentitiesOnly=yes -i '" + strings.ReplaceAll(g.Key, "'", `'\''`) + "'"
	}
	env = append(env, "GIT_SSH_COMMAND="+ssh)
	argv := append([]string{"git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"}, args...)
	res, err := h.Run.Run(ctx, host.Command{Argv: argv, Env: env, User: g.Owner, Limit: 1 << 20})
	if err != nil {
		return "", fmt.Errorf("running git %s: %w", args[0], err)
	}
	if res.Code != 0 {
		return "", fmt.Errorf("git %s ended with status %d%s", g.verb(args), res.Code, lastWords(res.Stderr))
	}
	return string(res.Stdout), nil
}

// verb is the command of git among its arguments.
func (g *Git) verb(args []string) string {
	if len(args) > 2 && args[0] == "-C" {
		return args[2]
	}
	return args[0]
}

// dirty lists what was changed in the tree by hand.
func (g *Git) dirty(ctx context.Context, h *host.Host) ([]change.Change, error) {
	untracked := "no"
	if g.Clean {
		untracked = "normal"
	}
	out, err := g.run(ctx, h, "-C", g.Path, "status", "--porcelain", "-z", "--no-renames", "--untracked-files="+untracked)
	if err != nil {
		return nil, err
	}
	var changes []change.Change
	for entry := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		if len(entry) < 4 {
			continue
		}
		to := "as in the repository"
		if strings.HasPrefix(entry, "??") {
			to = change.Absent
		}
		if len(changes) < 100 {
			changes = append(changes, change.Of(entry[3:], "changed", to))
		}
	}
	return changes, nil
}

// make makes the tree.
func (g *Git) make(ctx context.Context, h *host.Host, attr host.Attr, commit, ref string) error {
	if err := h.FS.MakeDir(ctx, g.Path, attr); err != nil {
		return err
	}
	if _, err := g.run(ctx, h, "init", "--quiet", g.Path); err != nil {
		return err
	}
	return g.update(ctx, h, commit, ref)
}

// update fetches a commit and checks it out.
func (g *Git) update(ctx context.Context, h *host.Host, commit, ref string) error {
	in := func(args ...string) error {
		_, err := g.run(ctx, h, append([]string{"-C", g.Path}, args...)...)
		return err
	}
	fetch := []string{"fetch", "--quiet", "--force"}
	if g.Depth > 0 {
		fetch = append(fetch, "--depth", strconv.Itoa(g.Depth))
	}
	fetch = append(fetch, "origin")
	switch {
	case ref != "":
		fetch = append(fetch, "+"+ref+":"+strings.Replace(ref, "refs/heads/", "refs/remotes/origin/", 1))
	case g.Depth > 0:
		fetch = append(fetch, commit)
	default:
		fetch = append(fetch, "--tags", "+refs/heads/*:refs/remotes/origin/*")
	}
	checkout := []string{"checkout", "--quiet", "--detach"}
	if g.Force {
		checkout = append(checkout, "--force")
	}
	steps := [][]string{{"config", "remote.origin.url", g.URL}, fetch, append(checkout, commit)}
	if g.Clean {
		steps = append(steps, []string{"clean", "--quiet", "-ffd"})
	}
	if g.Submodules {
		steps = append(steps, []string{"submodule", "--quiet", "update", "--init", "--recursive", "--force"})
	}
	for _, s := range steps {
		if err := in(s...); err != nil {
			return err
		}
	}
	return nil
}
