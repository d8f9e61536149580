package hub_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/hub"
	"vigo.dev/pkg/ocistore/registry"
	"vigo.dev/pkg/trust"
)

// pruneVariable makes this test binary a hub that prunes what is in a folder, and says when it begins.
const pruneVariable = "VIGO_TEST_PRUNE"

func TestMain(m *testing.M) {
	dir := os.Getenv(pruneVariable)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := pruneFolder(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const killKeep = 2

// later is when everything that was released is old.
var later = noon.Add(60 * 24 * time.Hour)

// openFolder opens the mirror that is in a folder, with its registry.
func openFolder(ctx context.Context, dir string, upstream bundle.Source, root trust.Root, now func() time.Time) (*hub.Mirror, bundle.Store, func() error, error) {
	reg, err := registry.New(registry.Options{Dir: filepath.Join(dir, "registry"), Sparse: true, Grace: -1})
	if err != nil {
		return nil, nil, nil, err
	}
	store, err := reg.Store(ctx, "vigo/bundles")
	if err != nil {
		return nil, nil, nil, errors.Join(err, reg.Close())
	}
	if upstream == nil {
		upstream = store
	}
	m, err := hub.NewMirror(hub.MirrorConfig{Upstream: upstream, Local: store, Fleet: "acme", Channels: []string{"stable"}, Root: root,
		Scope: hub.Scope{Modules: []string{"apt", "base", "web"}}, State: filepath.Join(dir, "mirror"), Log: slog.New(slog.DiscardHandler), Now: now})
	return m, store, reg.Close, err
}

func pruneFolder(ctx context.Context, dir string) error {
	document, err := os.ReadFile(filepath.Join(dir, "root.json"))
	if err != nil {
		return err
	}
	root, err := trust.ParseRoot(document)
	if err != nil {
		return err
	}
	m, _, done, err := openFolder(ctx, dir, nil, root, func() time.Time { return later })
	if err != nil {
		return err
	}
	fmt.Println("pruning")
	_, err = m.Prune(ctx, hub.Retention{Keep: killKeep})
	return errors.Join(err, done()) // which collects the garbage
}

// A hub that is killed while it prunes, at any moment, over and over, has all it shows when it starts again, and in the end
// nothing else. This is the real registry on a real disk, and a real signal.
func TestAHubIsKilledWhileItPrunes(t *testing.T) {
	t.Parallel()
	s, dir := newSite(t), t.TempDir()
	document, err := s.root.Marshal()
	s.must(err)
	s.must(os.WriteFile(filepath.Join(dir, "root.json"), document, 0o600))
	m, _, done, err := openFolder(t.Context(), dir, s.centre, s.root, func() time.Time { return s.now })
	s.must(err)
	const releases = 20
	var released []bundle.Built
	for seq := int64(1); seq <= releases; seq++ {
		built := s.pack(fmt.Sprint(seq))
		p := s.pointer(seq, built)
		p.Expires = later.Add(time.Hour)
		s.point(p)
		released = append(released, built)
		s.must(m.Sync(t.Context()))
	}
	s.must(done())
	s.now = later
	stay := func() (n int) {
		_, store, done, err := openFolder(t.Context(), dir, s.centre, s.root, func() time.Time { return later })
		s.must(err)
		s.showsScoped(store, releases)
		for i, built := range released {
			_, err := store.Resolve(t.Context(), built.Descriptor.Digest)
			if err == nil {
				n++
			}
			if i >= releases-killKeep && s.holds(store, built) != " apt base web" {
				t.Errorf("bundle %d of the rollback window is not whole: %v", i+1, err)
			}
		}
		s.must(done())
		return n
	}
	kills := 0
	for ; ; kills++ {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), pruneVariable+"="+dir)
		out, err := cmd.StdoutPipe()
		s.must(err)
		s.must(cmd.Start())
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if kills < 12 {
			time.AfterFunc(rand.N(60*time.Millisecond), func() { _ = cmd.Process.Kill() }) // gone already is as good
		}
		ended := cmd.Wait()
		left := stay()
		t.Logf("killed: %v, %d bundles are left", ended != nil, left)
		if ended == nil {
			break
		}
	}
	if left := stay(); left < killKeep || left > 2*killKeep {
		t.Errorf("after %d kills %d bundles are left", kills, left)
	}
}
