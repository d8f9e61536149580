package catalog_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/trait"
)

// patience is how long one hostile repository may take, read and built, under the race detector, on a machine with others at work; without limits they take for ever.
const patience = 2 * time.Minute

// hostile is a repository of one module, given as resources, and more files.
func hostile(resources string, more map[string]string) fstest.MapFS {
	repo := fstest.MapFS{
		"fleet.yaml":            {Data: []byte("kind: Fleet\nname: acme\ndata: [common.yaml]\n")},
		"roles/all.yaml":        {Data: []byte("kind: Role\nmodules: [m]\n")},
		"modules/m/module.yaml": {Data: []byte("kind: Module\nparams: {list: {type: list, default: []}}\nresources:\n" + resources)},
	}
	for name, text := range more {
		repo[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return repo
}

// rendering is a repository with a template.
func rendering(text string, more map[string]string) fstest.MapFS {
	all := map[string]string{"modules/m/templates/a.tmpl": text}
	maps.Copy(all, more)
	return hostile("  - file: /etc/x\n    template: a.tmpl\n", all)
}

func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "    - i%d\n", i)
	}
	return b.String()
}

// includers are templates that include their next one several times, and n of them.
func includers(n, times int) map[string]string {
	all := map[string]string{}
	for i := range n {
		all[fmt.Sprintf("templates/t%d.tmpl", i)] = strings.Repeat(fmt.Sprintf(`{{ include "t%d.tmpl" . }}`, i+1), times)
	}
	all[fmt.Sprintf("templates/t%d.tmpl", n)] = "x"
	return all
}

// A repository that is made to hang or exhaust whoever reads it is refused soon, and the limit is named.
func TestHostileRepositories(t *testing.T) {
	t.Parallel()
	const file = "  - file: \"/etc/%d/{{ .key }}\"\n    foreach: \"{{ .param.list }}\"\n    content: x\n"
	many := ""
	for i := range 6 {
		many += fmt.Sprintf(file, i)
	}
	for name, tt := range map[string]struct {
		repo fstest.MapFS
		want string
	}{
		"a long foreach": {hostile("  - file: \"/{{ .key }}\"\n    content: x\n    foreach:\n"+numbers(10_001), nil), "foreach makes at most 10000 resources"},
		"a long list":    {hostile(fmt.Sprintf(file, 0), map[string]string{"data/common.yaml": "m:\n  list:\n" + numbers(10_001)}), "this has 10001 items"},
		"many of them":   {hostile(many, map[string]string{"data/common.yaml": "m:\n  list:\n" + numbers(10_000)}), "a node has at most 50000 resources"},
		"lists in lists": {hostile("  - package: x\n    when: all(1..1000, all(1..1000, all(1..1000, true)))\n", nil), "lists inside of lists"},
		"a long range":   {hostile("  - package: x\n    when: len(1..1000000000) > 1\n", nil), "memory budget"},
		"a long text":    {hostile("  - package: x\n    when: node == \""+strings.Repeat("x", 5000)+"\"\n", nil), "more than the 4096"},
		"a deep text":    {hostile("  - package: x\n    when: "+strings.Repeat("(", 2000)+"true"+strings.Repeat(")", 2000)+"\n", nil), "m/package:x"},
		"doubling":       {rendering(`{{ $s := "xxxxxxxxxxxxxxxx" }}{{ range 40 }}{{ $s = print $s $s }}{{ end }}`, nil), "make more than"},
		"a wide field":   {rendering(`{{ printf "%0999999d" 1 }}`, nil), "a width is a number"},
		"a wide star":    {rendering(`{{ printf "%*d" 999999 1 }}`, nil), "a width is a number"},
		"many verbs":     {rendering(`{{ $s := "x" }}{{ range 20 }}{{ $s = print $s $s }}{{ end }}{{ printf "`+strings.Repeat("%[1]s", 1000)+`" $s }}`, nil), "make more than"},
		"replacing":      {rendering(`{{ $s := "x" }}{{ range 20 }}{{ $s = print $s $s }}{{ end }}{{ replace "x" $s $s }}`, nil), "make more than"},
		"many parts":     {rendering(`{{ $s := "x" }}{{ range 20 }}{{ $s = print $s $s }}{{ end }}{{ len (split "" $s) }}`, nil), "more than 100000 parts"},
		"including":      {rendering(`{{ include "t0.tmpl" . }}`, includers(14, 4)), "does not end after"},
		"a long chain":   {rendering(`{{ include "t0.tmpl" . }}`, includers(2000, 1)), "more than 100 templates are included"},
		"a large part":   {rendering(strings.Repeat(`{{ $x := include "big.tmpl" . }}`, 20), map[string]string{"templates/big.tmpl": strings.Repeat("x", 15<<20)}), "make more than"},
		"in all": {hostile("  - file: \"/etc/{{ .key }}\"\n    content: '{{ range 150000 }}{{ end }}'\n    foreach:\n"+numbers(1000), nil),
			"the templates of this node do not end"},
		"the path of data": {fstest.MapFS{"fleet.yaml": {Data: []byte("kind: Fleet\nname: acme\ndata: ['{{ range 1000000000 }}{{ end }}.yaml']\n")},
			"roles/all.yaml": {Data: []byte("kind: Role\nmodules: [m]\n")}, "modules/m/module.yaml": {Data: []byte("kind: Module\nparams: {a: string}\nresources: []\n")}}, `needs the parameter "a"`},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			got := built(t, tt.repo, catalog.Input{Node: "n", Traits: trait.Set{}})
			if !strings.Contains(got, tt.want) {
				t.Errorf("got %.500s, want %s", got, tt.want)
			}
			if took := time.Since(began); took > patience {
				t.Errorf("it took %s", took)
			} else {
				t.Log(took)
			}
		})
	}
}
