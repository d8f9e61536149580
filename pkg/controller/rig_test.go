package controller

import (
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/gitsource/gitsourcetest"
	"vigo.dev/pkg/policy"
)

// rig is a controller with everything around it.
type rig struct {
	t      *testing.T
	repo   *gitsourcetest.Repo
	store  *dirStore
	data   string
	keys   testKeys
	now    time.Time
	builds int
	forge  Forge
	allow  string // hash of a tip of a rewritten branch
	log    strings.Builder
	notes  []Status
	marks  map[string]Mark
	c      *Controller
}

func (r *rig) Note(s Status) { r.notes = append(r.notes, s) }

func newRig(t *testing.T) *rig {
	r := &rig{
		t: t, repo: gitsourcetest.New(t), store: newDirStore(t, t.TempDir()), data: t.TempDir(), keys: newTestKeys("ours"),
		now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
	}
	r.repo.Put(map[string]string{"channels": "acme staging production", "motd": "one", "README.md": "r"})
	return r
}

// rules are those of a repository with a file "signed", and one "approvals" with a line of fleet.yaml.
func (r *rig) rules(fsys fs.FS) (Rules, error) {
	var rules Rules
	_, err := fs.Stat(fsys, "signed")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return rules, err
	}
	rules.SignedCommits = err == nil
	approvals, err := fs.ReadFile(fsys, "approvals")
	if err != nil {
		return rules, nil
	}
	fleet, err := PolicyRules(fstest.MapFS{"fleet.yaml": {Data: append([]byte("kind: Fleet\nname: acme\ntrust: {approvals: "), append(approvals, '}')...)}})
	rules.Approvals = fleet.Approvals
	return rules, err
}

// start makes a controller, as after a restart.
func (r *rig) start() *Controller {
	r.t.Helper()
	src, err := gitsource.Open(gitsource.Options{URL: r.repo.Dir, Dir: filepath.Join(r.data, "git"), AllowRewrite: r.allow})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = src.Close() })
	r.c, err = New(Config{
		Data: r.data, Git: src, Store: r.store, Keys: r.keys, Builder: testBuilder{&r.builds}, HookToken: "hush", Listener: r, Rules: r.rules, Forge: r.forge, Follow: r.follow, Marks: r.marks,
		Log: slog.New(slog.NewTextHandler(&r.log, nil)), Now: func() time.Time { return r.now },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	c := r.c
	r.t.Cleanup(func() { c.others.drop(func(policy.Origin) bool { return true }) })
	return r.c
}

// follow opens another branch of the same repository, unless it is called "unreachable".
func (r *rig) follow(origin policy.Origin, dir string) (Followed, error) {
	if origin.Branch == "unreachable" {
		return Followed{}, errors.New("no way there")
	}
	src, err := gitsource.Open(gitsource.Options{URL: r.repo.Dir, Branch: origin.Branch, Dir: dir})
	return Followed{Git: src, Builder: testBuilder{}}, err
}

func (r *rig) step() {
	r.t.Helper()
	if err := r.c.Step(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// pointer reads what the registry shows for a channel.
func (r *rig) pointer(channel string) bundle.Pointer {
	r.t.Helper()
	p, _, _, err := r.keys.Current(r.t.Context(), r.store, "acme", channel)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// oneDigestATag fails when a tag that must not move has moved: one number with two contents is equivocation.
func oneDigestATag(t *testing.T, s *dirStore) {
	t.Helper()
	for tag, digests := range s.history(t) {
		if !strings.HasPrefix(tag, "channel-") || !strings.Contains(tag, ".") {
			continue
		}
		for _, d := range digests {
			if d != digests[0] {
				t.Errorf("tag %s was set to %s and to %s", tag, digests[0], d)
			}
		}
	}
}
