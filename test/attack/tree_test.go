package attack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/machine"
	"vigo.dev/pkg/resource"
	"vigo.dev/pkg/resources"
)

// sweepers are the resources that change whatever they find below a directory.
func sweepers() map[string]resource.Resource {
	purge := &resources.Directory{Path: "/srv", Purge: true}
	purge.Aware(nil)
	return map[string]resource.Resource{
		"purge":   purge,
		"recurse": &resources.Directory{Path: "/srv", Recurse: true, FileMode: &resource.Mode{Perm: 0o666}},
		"acl":     &resources.ACL{Path: "/srv", Entries: []string{"user:12345:rw"}, Recurse: true},
		"permissions": &resources.Permissions{
			Path: "/srv", Deny: []string{"0400"}, Only: "files"},
		"tidy": &resources.Tidy{Path: "/srv", Size: 1},
	}
}

// A swappable is a root folder in which /srv is swept: srv/d is a directory, and aside a link to /etc that can take its place.
type swappable struct {
	t    *testing.T
	root string
	host *host.Host
}

func newSwappable(t *testing.T) swappable {
	t.Helper()
	s := swappable{t: t, root: t.TempDir()}
	if err := errors.Join(os.Mkdir(s.at("etc"), 0o755), os.WriteFile(s.at("etc/shadow"), []byte("secret"), 0o600),
		os.Mkdir(s.at("srv"), 0o755), os.Symlink("../etc", s.at("aside"))); err != nil {
		t.Fatal(err)
	}
	m, err := machine.New(machine.Options{Root: s.root, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	s.host = m.Host()
	s.fill()
	return s
}

func (s swappable) at(name string) string { return filepath.Join(s.root, name) }

// fill makes what is to be swept anew.
func (s swappable) fill() {
	err := errors.Join(os.RemoveAll(s.at("srv/d")), os.RemoveAll(s.at("aside")), os.Symlink("../etc", s.at("aside")),
		os.Mkdir(s.at("srv/d"), 0o755), os.WriteFile(s.at("srv/d/shadow"), []byte("mine"), 0o600))
	if err != nil {
		s.t.Fatal(err)
	}
}

// swap puts the link in place of the directory, or back, in one step.
func (s swappable) swap() {
	_ = unix.Renameat2(unix.AT_FDCWD, s.at("srv/d"), unix.AT_FDCWD, s.at("aside"), unix.RENAME_EXCHANGE)
}

// outside says in what way the file outside of the tree was changed, or "".
func (s swappable) outside() string {
	info, err := os.Stat(s.at("etc/shadow"))
	if err != nil {
		return err.Error()
	}
	list := make([]byte, 1024)
	n, _ := unix.Getxattr(s.at("etc/shadow"), "system.posix_acl_access", list)
	if info.Mode().Perm() == 0o600 && n <= 0 {
		return ""
	}
	return fmt.Sprintf("it has mode %v and a list of %d bytes", info.Mode(), n)
}

// A directory that becomes a link between the plan and its apply is refused, and so is a file that becomes a hard link.
func TestSweepMeetsALinkWhereADirectoryWas(t *testing.T) {
	t.Parallel()
	for name, res := range sweepers() {
		for how, swap := range map[string]func(s swappable) error{
			"link": func(s swappable) error { s.swap(); return nil },
			"hard link": func(s swappable) error {
				return errors.Join(os.Remove(s.at("srv/d/shadow")), os.Link(s.at("etc/shadow"), s.at("srv/d/shadow")))
			},
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				s := newSwappable(t)
				plan, err := res.Plan(t.Context(), s.host)
				if errors.Is(err, errors.ErrUnsupported) {
					t.Skip("the file system of the test keeps no access lists")
				}
				if err != nil || plan.Empty() {
					t.Fatalf("nothing was planned: %v", err)
				}
				if err := swap(s); err != nil {
					t.Fatal(err)
				}
				_, err = plan.Apply(t.Context())
				if removes := name == "purge" || name == "tidy"; err == nil && !removes {
					t.Error("what took the place of a file was changed") // one name of a file, or a link, may go
				}
				if got := s.outside(); got != "" {
					t.Errorf("the file outside was changed: %s", got)
				}
			})
		}
	}
}

// Somebody swaps a directory for a link all the time, while the tree is listed, planned and changed.
func TestSweepBesideASwapper(t *testing.T) {
	t.Parallel()
	for name, res := range sweepers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSwappable(t)
			for range 100 {
				s.fill()
				ctx, stop := context.WithCancel(t.Context())
				var swapper sync.WaitGroup
				swapper.Go(func() {
					for ctx.Err() == nil {
						s.swap()
					}
				})
				for range 5 {
					if plan, err := res.Plan(t.Context(), s.host); err == nil {
						_, _ = plan.Apply(t.Context()) // that it fails is all right; what it must not do is seen outside
					}
				}
				stop()
				swapper.Wait()
				if got := s.outside(); got != "" {
					t.Fatalf("the file outside was changed: %s", got)
				}
			}
		})
	}
}

// A purge goes into no link, and takes a whole tree.
func TestPurgeTakesATree(t *testing.T) {
	t.Parallel()
	s := newSwappable(t)
	if err := errors.Join(os.MkdirAll(s.at("srv/d/deep/deeper"), 0o755), os.Symlink("../../etc", s.at("srv/d/link"))); err != nil {
		t.Fatal(err)
	}
	plan, err := sweepers()["purge"].Plan(t.Context(), s.host)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := fs.ReadDir(os.DirFS(s.root), "srv")
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if got := s.outside(); got != "" {
		t.Error(got)
	}
}
