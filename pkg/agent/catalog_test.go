package agent

import (
	"os"
	"path/filepath"
	"testing"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resource"
)

// write writes a file of the host.
func (r *rig) write(path, content string) {
	r.t.Helper()
	path = filepath.Join(r.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// row puts the node into a row of racks, which is a trait of the site's own.
func (r *rig) row(name string) {
	r.t.Helper()
	r.write("etc/vigo/traits.d/site.yaml", "row: "+name+"\n")
}

// cycle makes one cycle, which must succeed, and returns its catalog.
func (r *rig) cycle(a *Agent) *resource.Catalog {
	r.t.Helper()
	if run := r.once(a); run.Error != "" || run.Compliance() == report.ComplianceFailed {
		r.t.Fatalf("the run: %+v", run)
	}
	return a.loaded.built.catalog
}

func TestTheCatalogOfTheLastRunServesAsLongAsWhatThePolicyLooksAtIsTheSame(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.row("r4")
	r.publish(motdPolicy("row {{ .external.site.row }}, {{ .role }}"))
	a := r.start()
	first := r.cycle(a)
	r.wantMotd("row r4, web")
	if r.cycle(a) != first {
		t.Error("it was built again though nothing has changed")
	}

	r.row("r5")
	moved := r.cycle(a)
	r.wantMotd("row r5, web")
	if moved == first {
		t.Error("a trait that the policy looks at changed, and the catalog did not")
	}

	r.publish(motdPolicy("row {{ .external.site.row }}!"))
	if r.cycle(a) == moved {
		t.Error("the catalog of another bundle was used")
	}
	r.wantMotd("row r5!")
}

func TestAPolicyThatLooksAtWhatAlwaysChangesIsBuiltForEachRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("proc/uptime", "172800.00 100.00\n")
	r.publish(motdPolicy("up for {{ .uptime.days }} days"))
	a := r.start()
	if first := r.cycle(a); r.cycle(a) == first {
		t.Error("another day may be over, and the catalog was not built again")
	}
	r.wantMotd("up for 2 days")
}

func TestAPolicyMayLookAtWhatTheAgentSaysOfItself(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("{{ if .agent.bundle }}known{{ else }}new{{ end }}"))
	a := r.start()
	r.cycle(a)
	r.wantMotd("new")
	r.cycle(a)
	r.wantMotd("known")
}
