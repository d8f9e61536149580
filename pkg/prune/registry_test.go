package prune_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/ocistore/registry"
	"vigo.dev/pkg/prune"
)

// weight is what each bundle has for itself, in bytes.
const weight = 256 << 10

// usage is what a folder holds, in bytes.
func usage(t *testing.T, dir string) int64 {
	t.Helper()
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// grow publishes ten bundles, an hour after the other, and waits.
func grow(h *history) {
	for range 10 {
		h.now = h.now.Add(time.Hour)
		h.point("main", h.commit(), nil)
	}
	h.now = h.now.Add(100 * time.Hour)
}

// freed fails unless what is left is about what two bundles take.
func freed(t *testing.T, before, after int64, plan prune.Plan) {
	t.Helper()
	if before < 10*weight || after > 3*weight {
		t.Errorf("the registry took %d bytes, after the pruning %d; two bundles of %d are left", before, after, weight)
	}
	if gain := before - after; plan.Bytes < gain*8/10 || plan.Bytes > gain*12/10 {
		t.Errorf("the plan promised %d bytes, %d were freed", plan.Bytes, gain)
	}
	t.Logf("%d KiB before, %d KiB after; the plan promised %d KiB", before>>10, after>>10, plan.Bytes>>10)
}

func TestTheEmbeddedRegistryGivesTheDiskBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() (*registry.Registry, repository) {
		r, err := registry.New(registry.Options{Dir: dir, Grace: -1, Log: slog.New(slog.DiscardHandler)}) // Close collects
		if err != nil {
			t.Fatal(err)
		}
		s, err := r.Store(t.Context(), "vigo/bundles")
		if err != nil {
			t.Fatal(err)
		}
		return r, s.(repository)
	}
	h := newHistory(t, 7)
	h.weight = weight
	r, repo := open()
	h.repo = repo
	grow(h)
	before := usage(t, dir)
	o := prune.Options{Keep: 2, Grace: time.Hour, Now: func() time.Time { return h.now }}
	plan, err := prune.Make(t.Context(), h.repo, o)
	h.must(err)
	h.prune(o)
	h.check(o)
	h.must(r.Close())
	freed(t, before, usage(t, dir), plan)
	again, repo := open()
	h.repo = repo
	h.check(o)
	h.must(again.Close())
}

const debianRegistry = `version: 0.1
log: {level: info, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %s}
  delete: {enabled: %t}
http: {addr: 127.0.0.1:0}
`

// dockerRegistry starts Debian's docker-registry, and returns a repository in it and its configuration.
func dockerRegistry(t *testing.T, dir string, deletes bool) (repository, string) {
	t.Helper()
	path, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("docker-registry is not installed; the gate installs it")
	}
	config := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, debianRegistry, dir, deletes), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "serve", config) // it ends with the test
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	address := make(chan string, 1)
	go func() {
		listening := regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)
		for lines := bufio.NewScanner(said); lines.Scan(); {
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
		close(address)
	}()
	at, ok := <-address
	if !ok {
		t.Fatal("docker-registry does not come up")
	}
	s, err := ocistore.Open(t.Context(), at+"/vigo/bundles", ocistore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s.(repository), config
}

// Debian's registry forgets what is removed, and frees the disk when its own garbage collection is run.
func TestDebiansRegistryIsPruned(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	repo, config := dockerRegistry(t, dir, true)
	h := newHistory(t, 8)
	h.repo, h.weight = repo, weight
	grow(h)
	before := usage(t, dir)
	o := prune.Options{Keep: 2, Grace: time.Hour, Now: func() time.Time { return h.now }}
	plan, err := prune.Make(t.Context(), h.repo, o)
	h.must(err)
	h.prune(o)
	h.check(o)
	if out, err := exec.CommandContext(t.Context(), "docker-registry", "garbage-collect", "--delete-untagged=false", config).CombinedOutput(); err != nil {
		t.Fatalf("garbage-collect: %v\n%s", err, out)
	}
	h.check(o)
	freed(t, before, usage(t, dir), plan)
}

func TestARegistryThatDoesNotDeleteIsToldOf(t *testing.T) {
	t.Parallel()
	repo, _ := dockerRegistry(t, t.TempDir(), false)
	h := newHistory(t, 9)
	h.repo = repo
	grow(h)
	o := prune.Options{Keep: 2, Grace: time.Hour, Now: func() time.Time { return h.now }}
	plan, err := prune.Make(t.Context(), h.repo, o)
	h.must(err)
	done, err := plan.Remove(t.Context(), h.repo, o, nil)
	if !errors.Is(err, ocistore.ErrNoDelete) || len(done) != 0 || !strings.Contains(strings.Join(fault.Hints(err), " "), "storage.delete.enabled") {
		t.Errorf("removed %d: %v, hints %q", len(done), err, fault.Hints(err))
	}
	if n := len(h.present()); n != 10 {
		t.Errorf("%d of 10 bundles are there", n)
	}
}

// A folder gives the disk back at once.
func TestALayoutGivesTheDiskBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := newHistory(t, 10)
	h.repo, h.weight = ocistore.NewLayout(dir), weight
	grow(h)
	before := usage(t, dir)
	o := prune.Options{Keep: 2, Grace: time.Hour, Now: func() time.Time { return h.now }}
	plan, err := prune.Make(t.Context(), h.repo, o)
	h.must(err)
	h.prune(o)
	h.check(o)
	freed(t, before, usage(t, dir), plan)
	if err := h.repo.Delete(t.Context(), h.built[0].Descriptor); !errors.Is(err, bundle.ErrNotFound) {
		t.Errorf("what is gone was removed again: %v", err)
	}
}
