package policy_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/policy"
)

func unchecked(*policy.Policy, *policy.Content) error { return nil }

func layer(module, compact string) policy.Layer {
	return policy.Layer{Module: module, Files: []bundle.File{{Path: "compiled.json", Data: []byte(compact)}}}
}

// A bundle that was made before the language had levels is read as it was meant.
func TestAnOlderBundleLoads(t *testing.T) {
	t.Parallel()
	p, _, err := policy.FromLayers([]policy.Layer{
		layer("", `{"fleet":{"name":"acme","interval":30000000000,"channels":{"stable":{"nodes":{"s":"","pos":{}},"pos":{}}},"audit":true,"pos":{}},
			"roles":[{"name":"all","audit":true,"modules":[{"module":"web","pos":{}}],"pos":{}}]}`),
		layer("web", `{"name":"web","audit":true,"resources":[{"type":"file","identity":"/etc/motd","audit":true,"attrs":{"content":"x"},"pos":{}}],"pos":{}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, audit := range []*bool{p.Fleet.Audit, p.Roles[0].Audit, p.Modules["web"].Audit, p.Modules["web"].Resources[0].Audit} {
		if audit == nil || !*audit {
			t.Error("an audit is lost")
		}
	}
}

// A part of the language that this program would overlook is refused, and only that: a policy says the least level it needs.
func TestALaterLanguageIsRefused(t *testing.T) {
	t.Parallel()
	const fleet = `{"fleet":{"name":"acme"}}`
	for what, layers := range map[string][]policy.Layer{
		"the fleet":  {layer("", `{"fleet":{"name":"acme"},"needs":99}`)},
		"module web": {layer("", fleet), layer("web", `{"name":"web","needs":99}`)},
	} {
		_, _, err := policy.FromLayers(layers)
		if err == nil || !strings.Contains(err.Error(), what+" needs level 99 of the language") {
			t.Errorf("%s: %v", what, err)
		}
	}
	repo := func(resource string) fstest.MapFS {
		return fstest.MapFS{"fleet.yaml": {Data: []byte("kind: Fleet\nname: acme\n")},
			"modules/m/module.yaml": {Data: []byte("kind: Module\nresources:\n" + resource)}}
	}
	for resource, want := range map[string]int{
		"  - package: nginx\n":                                        0,
		"  - package: \"{{ .key }}\"\n    foreach: [a]\n":             2,
		"  - package: nginx\n    window: nightly\n":                   2,
		"  - file: /etc/a\n    guard: {confirm: checkin}\n":           3,
		"  - package: nginx\n    audit: false\n    tags: [a, b, c]\n": 0,
	} {
		p, _, err := policy.Read(repo(resource), unchecked)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Modules["m"].Needs; got != want {
			t.Errorf("%q needs %d, want %d", resource, got, want)
		}
	}
}
