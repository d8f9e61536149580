package agent

import (
	"log/slog"
	"testing"
	"testing/fstest"
	"time"

	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/host/hosttest"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/traits"
)

// A run without a server collects a trait when the policy uses it, in a condition or in a template.
func TestApplyHasTheTraitsThatPolicyUses(t *testing.T) {
	t.Parallel()
	schema := expr.NewSchema()
	traits.Schema(schema)
	files := fstest.MapFS{
		"fleet.yaml":       {Data: []byte("kind: Fleet\nname: lab\nchannels:\n  main: {}\n")},
		"roles/every.yaml": {Data: []byte("kind: Role\nmodules: [rack]\n")},
		"modules/rack/module.yaml": {Data: []byte("kind: Module\nresources:\n" +
			"  - file: /etc/row\n    template: row.tmpl\n" +
			"  - file: /etc/outdated\n    content: \"yes\"\n    when: updates.pending == 1\n")},
		"modules/rack/templates/row.tmpl": {Data: []byte("{{ .external.site.row }}\n")},
	}
	m, err := hosttest.Parse([]byte(`
hostname web-1
package curl 1.0 arch=amd64
file /etc/vigo/traits.d/site.yaml "row: r4\n"
file /var/lib/apt/lists/example.com_Packages "Package: curl\nVersion: 1.1\nArchitecture: amd64\n"
`))
	if err != nil {
		t.Fatal(err)
	}
	state, err := OpenState(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	run, err := Apply(t.Context(), ApplyConfig{
		State: state, Language: catalog.Language{Kinds: resources.Registry(), Schema: schema}, Host: m.Host(),
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Source: Folder(files),
	})
	if err != nil || run.Counts.Failed > 0 {
		t.Fatalf("%v, %+v", err, run)
	}
	for path, want := range map[string]string{"/etc/row": "r4\n", "/etc/outdated": "yes"} {
		if got, err := m.Host().FS.Read(path, 0); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
}

// A run without a service has nobody to confirm a guarded change: it is made only if that is asked for.
func TestApplyHasNoGuard(t *testing.T) {
	t.Parallel()
	schema := expr.NewSchema()
	traits.Schema(schema)
	files := fstest.MapFS{
		"fleet.yaml":              {Data: []byte("kind: Fleet\nname: lab\nchannels:\n  main: {}\n")},
		"roles/every.yaml":        {Data: []byte("kind: Role\nmodules: [net]\n")},
		"modules/net/module.yaml": {Data: []byte("kind: Module\nresources:\n  - file: /etc/net\n    content: x\n    guard: {confirm: checkin, timeout: 90s}\n")},
	}
	m, err := hosttest.Parse([]byte("hostname web-1\ndir /etc\n"))
	if err != nil {
		t.Fatal(err)
	}
	state, err := OpenState(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := ApplyConfig{State: state, Language: catalog.Language{Kinds: resources.Registry(), Schema: schema}, Host: m.Host(),
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Source: Folder(files)}
	run, err := Apply(t.Context(), c)
	const why = "it is guarded, and this run has no service whose check-in would confirm the change within 1m30s; --no-guard changes it all the same"
	if err != nil || run.Counts.Failed != 1 || run.Results[0].Reason != why {
		t.Fatalf("%v, %+v", err, run)
	}
	c.Unguarded = true
	if run, err = Apply(t.Context(), c); err != nil || run.Counts.Changed != 1 || run.Results[0].Guard != "" {
		t.Fatalf("%v, %+v", err, run)
	}
}
