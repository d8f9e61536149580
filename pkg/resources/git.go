package resources

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Git is a working tree of a git repository at a revision, made by the program git.
//
// With a full commit as revision, a run that has nothing to do reads files of the tree and starts no program. With a branch
// or tag the remote is asked in each run (git ls-remote), and with force the tree is compared in each run (git status): that
// cannot be had without the program. The commit is checked out by itself, on no branch. Hooks of the tree are not run.
//
// What was changed in the tree by hand makes the checkout of another revision fail, unless force is given.
//
//	resources:
//	  - git: /srv/shop
//	    url: https://git.example.com/shop.git
//	    revision: 4f2d1c0b9a8e7d6c5b4a39281706f5e4d3c2b1a0
//	    owner: shop
type Git struct {
	// Path of the working tree, absolute. It is made; a directory that is there must be empty or such a tree.
	Path string `vigo:"identity"`

	// URL of the repository: https, http, ssh, git or file, user@host:path, or an absolute path. It holds no password.
	URL string `yaml:"url"`

	// Revision is a commit of 40 or 64 hexadecimal digits, a branch or a tag.
	Revision string `yaml:"revision"`

	// Depth is how many commits of the history are fetched; all if it is not given.
	Depth int `yaml:"depth"`

	// Submodules are checked out too.
	Submodules bool `yaml:"submodules"`

	// Force takes back what was changed in files of the repository by hand.
	Force bool `yaml:"force"`

	// Clean removes files that are neither of the repository nor ignored by it. It needs force.
	Clean bool `yaml:"clean"`

	// Owner is the user that the tree belongs to and git runs as; who runs the agent if it is not given.
	Owner string `yaml:"owner"`

	// Key is the path of the private key for ssh, absolute.
	Key string `yaml:"key"`

	// Ensure says whether the tree should be there. Absent removes it with all that is in it.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`
}

var (
	_ resource.Validator = (*Git)(nil)
	_ resource.Requirer  = (*Git)(nil)

	gitCommit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	gitName   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./+@-]*$`)
	gitScp    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9_][A-Za-z0-9_.-]*:[^\s]+$`)
)

// Validate implements [resource.Validator].
func (g *Git) Validate() error {
	if err := checkPath(g.Path); err != nil {
		return err
	}
	if g.Ensure == "absent" {
		if g.Revision != "" {
			return errors.New("a tree that is to be absent has no revision")
		}
		return nil
	}
	if err := g.checkURL(); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	switch {
	case g.Revision == "":
		return errors.New("needs the key \"revision\"")
	case !gitName.MatchString(g.Revision) || strings.Contains(g.Revision, "..") || strings.HasSuffix(g.Revision, ".lock"):
		return fmt.Errorf("revision: %q is not the name of a branch, tag or commit", g.Revision)
	case g.Depth < 0:
		return errors.New("depth: want a number of commits")
	case g.Clean && !g.Force:
		return errors.New("clean needs force: true")
	case g.Key != "":
		return checkPath(g.Key)
	}
	return nil
}

func (g *Git) checkURL() error {
	if gitScp.MatchString(g.URL) || strings.HasPrefix(g.URL, "/") {
		return oneLine("it", g.URL)
	}
	u, err := url.Parse(g.URL)
	if err != nil || u.Host == "" && u.Scheme != "file" {
		return errors.New("want such as https://host/path, ssh://user@host/path or user@host:path")
	}
	switch u.Scheme {
	case "https", "http", "ssh", "git", "file":
	default:
		return fmt.Errorf("git is not let use the transport %q", u.Scheme)
	}
	if _, has := u.User.Password(); has {
		return fault.WithHint(errors.New("it holds a password, which others on the machine could see"),
			"use ssh with key, or a credential helper of the owner")
	}
	return nil
}

// Requires implements [resource.Requirer].
func (g *Git) Requires() []resource.ID {
	ids := append(attributes{Owner: g.Owner}.requires(g.Path), resource.ID{Type: "directory", Name: g.Path}, resource.ID{Type: "package", Name: "git"})
	if g.Key != "" {
		ids = append(ids, resource.ID{Type: "file", Name: g.Key})
	}
	return ids
}

// Plan implements [resource.Resource].
func (g *Git) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	tree, err := readGitTree(h, g.Path)
	if err != nil {
		return p, err
	}
	if g.Ensure == "absent" {
		if tree != nil {
			p.Do(func(ctx context.Context) error { return h.FS.Remove(ctx, g.Path, true) }, change.Of("ensure", briefCommit(tree.commit), change.Absent))
		}
		return p, nil
	}
	want, err := attributes{Owner: g.Owner}.resolve(ctx, h)
	if err != nil {
		return p, err
	}
	commit, ref, err := g.commit(ctx, h)
	if err != nil {
		return p, err
	}
	if tree == nil {
		p.Do(func(ctx context.Context) error { return g.make(ctx, h, want, commit, ref) },
			change.Of("revision", change.Absent, briefCommit(commit)))
		return p, nil
	}
	var changes []change.Change
	if tree.url != g.URL {
		changes = append(changes, change.Of("url", tree.url, g.URL))
	}
	if tree.commit != commit {
		changes = append(changes, change.Of("revision", briefCommit(tree.commit), briefCommit(commit)))
	} else if g.Force {
		dirty, err := g.dirty(ctx, h)
		if err != nil {
			return p, err
		}
		changes = append(changes, dirty...)
	}
	if len(changes) > 0 {
		p.Do(func(ctx context.Context) error { return g.update(ctx, h, commit, ref) }, changes...)
	}
	return p, nil
}

// commit settles the revision: a name is looked up at the remote. It returns the ref too, or "" for a commit.
func (g *Git) commit(ctx context.Context, h *host.Host) (commit, ref string, err error) {
	if gitCommit.MatchString(g.Revision) {
		return g.Revision, "", nil
	}
	branch, tag := "refs/heads/"+g.Revision, "refs/tags/"+g.Revision
	out, err := g.run(ctx, h, "ls-remote", g.URL, branch, tag, tag+"^{}")
	if err != nil {
		return "", "", err
	}
	found := map[string]string{}
	for line := range strings.Lines(out) {
		if id, name, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && gitCommit.MatchString(id) {
			found[name] = id
		}
	}
	switch {
	case found[branch] != "" && found[tag] != "":
		return "", "", fmt.Errorf("%s is both a branch and a tag of %s", g.Revision, g.URL)
	case found[branch] != "":
		return found[branch], branch, nil
	case found[tag+"^{}"] != "":
		return found[tag+"^{}"], tag, nil
	case found[tag] != "":
		return found[tag], tag, nil
	}
	return "", "", fmt.Errorf("%s has no branch or tag %s: %w", g.URL, g.Revision, host.ErrNotFound)
}

func briefCommit(commit string) string {
	if commit == "" {
		return "no commit"
	}
	return fmt.Sprintf("%.12s", commit)
}
