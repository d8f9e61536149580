package agent

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/ocistore"
)

// without is a registry that does not give one layer, as a hub that cannot fetch it.
type without struct {
	bundle.Source
	layer string
	asked int
}

var errNotHeld = errors.New("the hub does not hold it")

func (w *without) Open(ctx context.Context, d bundle.Descriptor) (io.ReadCloser, error) {
	if d.Digest == w.layer {
		w.asked++
		return nil, errNotHeld
	}
	return w.Source.Open(ctx, d)
}

// A node whose role changes to one with a module that nobody gives it keeps enforcing the modules it has, also after a restart,
// and says what is missing. It takes the module when it can be had.
func TestANodeThatLacksAModuleEnforcesTheOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	built := r.publish(motdPolicy("good", map[string]string{
		"roles/all.yaml":         "kind: Role\nmodules: [motd]\n",
		"roles/web.yaml":         "kind: Role\nwhen: role == \"web\"\nmodules: [motd]\n",
		"roles/db.yaml":          "kind: Role\nwhen: role == \"db\"\nmodules: [db]\n",
		"modules/db/module.yaml": "kind: Module\nabout: Data.\nresources:\n  - file: /etc/db\n    content: \"data\\n\"\n",
	}))
	w := &without{Source: r.store}
	for _, l := range built.Config.Layers {
		if l.Module == "db" {
			w.layer = l.Digest
		}
	}
	start := func() *Agent {
		return r.start(func(c *Config) {
			cache, err := ocistore.Cached(w, r.state.Path(cacheDir), r.clock)
			if err != nil {
				t.Fatal(err)
			}
			c.Origin = cache
		})
	}
	a := start()
	if run := r.once(a); run.Error != "" || w.asked != 0 {
		t.Fatalf("at first: %+v, the layer was asked for %d times", run, w.asked)
	}
	a.labels = map[string]string{"role": "db"}
	e, err := r.state.LoadEnrolment()
	if err != nil {
		t.Fatal(err)
	}
	e.Labels = a.labels
	if err := r.state.SaveEnrolment(e); err != nil {
		t.Fatal(err)
	}
	for _, a := range []*Agent{a, start()} {
		r.drift()
		run := r.once(a)
		if run.Counts.Corrected != 1 || !strings.Contains(run.Error, `module "db"`) || !strings.Contains(run.Error, errNotHeld.Error()) {
			t.Errorf("a run without the module: %+v\n%s", run, r.logged)
		}
		r.wantMotd("good")
	}
	w.layer = ""
	if run := r.once(start()); run.Error != "" {
		t.Errorf("with the module: %+v", run)
	}
	if data, err := os.ReadFile(filepath.Join(r.root, "etc/db")); err != nil || string(data) != "data\n" {
		t.Errorf("the module that was missing: %q, %v", data, err)
	}
}
