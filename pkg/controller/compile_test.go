package controller

import (
	"errors"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
)

type checkFunc func(p *policy.Policy, c *policy.Content) error

func (f checkFunc) Check(p *policy.Policy, c *policy.Content) error { return f(p, c) }

func TestCompile(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{
		"fleet.yaml":              {Data: []byte("kind: Fleet\nname: acme\nchannels:\n  production: {nodes: \"true\"}\n  early: {nodes: \"true\"}\n")},
		"modules/a/module.yaml":   {Data: []byte("kind: Module\nresources:\n  - package: nginx\n")},
		"modules/a/files/x":       {Data: []byte("x")},
		"roles/all.yaml":          {Data: []byte("kind: Role\nmodules: [a]\n")},
		"docs/not-part-of-it.txt": {Data: []byte("x")},
	}
	seen := ""
	ok := checkFunc(func(p *policy.Policy, c *policy.Content) error {
		f, err := c.File("a", "x")
		seen = p.Fleet.Name + " " + string(f.Data)
		return err
	})
	cfg, layers, err := Compile(fsys, ok, bundle.Config{Counter: 7})
	if err != nil {
		t.Fatal(err)
	}
	want := bundle.Config{FormatVersion: 1, Fleet: "acme", Channels: []string{"early", "production"}, Counter: 7}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("config differs (-want +got):\n%s", diff)
	}
	if len(layers) != 2 || layers[1].Module != "a" || seen != "acme x" {
		t.Errorf("layers: %+v; the checker saw %q", layers, seen)
	}
	bad := errors.New("bad")
	if _, _, err := Compile(fsys, checkFunc(func(*policy.Policy, *policy.Content) error { return bad }), bundle.Config{}); !errors.Is(err, bad) {
		t.Errorf("got %v", err)
	}
	var problems fault.Problems
	if _, _, err := Compile(fstest.MapFS{}, ok, bundle.Config{}); !errors.As(err, &problems) {
		t.Errorf("an empty repository: %v", err)
	}
}
