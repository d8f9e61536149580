package resources

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/host/hosttest"
)

// A service that was started in this run is not restarted by a notification; in the next run it is.
func TestServiceStartedIsNotRestarted(t *testing.T) {
	t.Parallel()
	m, err := hosttest.Parse([]byte("service nginx boot=enabled running=false live=true\n"))
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	s := &Service{Name: "nginx", Running: &yes}
	first, second := m.Host(), m.Host()
	plan, err := s.Plan(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, err := s.Plan(t.Context(), first); err != nil || !again.Empty() {
		t.Fatalf("second look: %v, %v", again.Changes(), err)
	}
	for _, h := range []*host.Host{first, second} {
		if err := s.Refresh(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"start nginx", "restart nginx"}, m.Log()); diff != "" {
		t.Error(diff)
	}
}

// Whatever is in fstab, putting an entry in and taking it out leaves the other lines as they were.
func FuzzFstab(f *testing.F) {
	f.Add("# comment\nUUID=1 / ext4 defaults 0 1\n/dev/sdb1\t/srv/my\\040data ext4 rw\n", "/srv/my data")
	f.Add("no line break", "/a")
	f.Add("a b c d e f g h\n\n\\134 \\ x", "/b\\")
	f.Fuzz(func(t *testing.T, text, path string) {
		if path == "" {
			return
		}
		table := splitFstab(text)
		entry := fstabEntry{device: "d", path: path, fsType: "t", opts: "defaults", dump: "0", pass: "0"}
		put := splitFstab(table.with(path, &entry))
		if got, _ := put.find(path); got == nil || *got != entry {
			t.Fatalf("put %q, found %v in %q", path, got, put)
		}
		if twice := put.with(path, &entry); twice != splitFstab(twice).with(path, &entry) {
			t.Fatalf("putting twice differs: %q", twice)
		}
		gone := splitFstab(put.with(path, nil))
		if got, _ := gone.find(path); got != nil {
			t.Fatalf("%q is still there", path)
		}
	})
}
