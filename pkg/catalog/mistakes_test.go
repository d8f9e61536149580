package catalog_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
)

var update = flag.Bool("update", false, "rewrite the expected messages")

// Each file of testdata/mistakes is a small repository with a mistake, and what its author reads then.
func TestMistakesReadWell(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/mistakes/*.txtar")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			repo := fstest.MapFS{}
			last := len(a.Files) - 1
			for _, f := range a.Files[:last] {
				repo[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
			}
			got := mistakes(t, repo)
			if *update {
				a.Files[last].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := string(a.Files[last].Data); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// mistakes returns what is wrong with a repository, one mistake a line.
func mistakes(t *testing.T, repo fstest.MapFS) string {
	t.Helper()
	_, _, err := policy.Read(repo, language().Check)
	var problems fault.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("no mistakes were found: %v", err)
	}
	for _, p := range problems {
		if p.Code == "" || p.Pos.File == "" {
			t.Errorf("%v has no code or no place", p)
		}
	}
	return problems.Error() + "\n"
}

func FuzzLoad(f *testing.F) {
	f.Add("kind: Fleet\nname: acme\n", "kind: Module\nresources:\n  - file: /etc/motd\n    content: \"{{ .node }}\"\n")
	f.Add("kind: Fleet\nname: acme\nwindows: {w: [{days: mon-fri, hours: \"22:00-06:00\", timezone: Europe/Amsterdam}]}\nwindow: w\nguardrails: {allow: [agent-unit]}\n",
		"kind: Module\nparams: {l: {type: list, default: [a]}}\ndefaults: {file: {mode: \"0600\", window: always}}\nresources:\n  - file: \"/etc/{{ .key }}\"\n    id: all\n    foreach: \"{{ .param.l }}\"\n    when: key != item\n    content: \"{{ include \\\"x\\\" }}\"\n  - service: x\n    requires: [all, \"all[a]\", \"m/all?\"]\n")
	f.Fuzz(func(t *testing.T, fleet, module string) {
		repo := fstest.MapFS{"fleet.yaml": {Data: []byte(fleet)}, "roles/all.yaml": {Data: []byte("kind: Role\nmodules: [m]\n")}, "modules/m/module.yaml": {Data: []byte(module)}}
		_, layers, err := policy.Read(repo, language().Check)
		if err != nil {
			return
		}
		p, content, err := policy.FromLayers(layers)
		if err != nil {
			t.Fatalf("what was accepted cannot be read back: %v", err)
		}
		if _, err := language().Build(p, content, catalog.Input{Node: "n"}); err != nil {
			var problems fault.Problems
			if !errors.As(err, &problems) {
				t.Errorf("what is wrong has no place: %v", err)
			}
		}
	})
}
