package controller

import (
	"fmt"
	"path/filepath"
	"testing"

	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/gitsource/gitsourcetest"
	"vigo.dev/pkg/policy"
)

func thousand(tb testing.TB) *gitsourcetest.Repo {
	repo := gitsourcetest.New(tb)
	repo.Put(map[string]string{"fleet.yaml": "kind: Fleet\nname: acme\nnodes:\n  - match: \"*\"\n    labels: {environment: production}\nchannels:\n  production: {nodes: environment == \"production\"}\n"})
	for i := range 1000 {
		name := fmt.Sprintf("m%04d", i)
		repo.Put(map[string]string{
			"modules/" + name + "/module.yaml": fmt.Sprintf(`kind: Module
about: Module number %[1]d.
params:
  port: {type: int, default: %[1]d, min: 1, max: 65535}
resources:
  - package: thing%[1]d
  - file: /etc/thing%[1]d/thing.conf
    template: thing.conf.tmpl
    mode: "0644"
    requires: [package:thing%[1]d]
    notify: [service:thing%[1]d]
  - service: thing%[1]d
    running: true
    enabled: true
`, i+1),
			"modules/" + name + "/templates/thing.conf.tmpl": fmt.Sprintf("# thing %d\nport = {{ .param.port }}\n", i+1),
			"modules/" + name + "/files/motd":                fmt.Sprintf("hello from %d\n", i),
		})
	}
	repo.Put(map[string]string{"roles/all.yaml": "kind: Role\nmodules: [m0000, m0001]\n"})
	return repo
}

func BenchmarkLoad(b *testing.B) {
	repo := thousand(b)
	repo.Commit("first")
	s, err := gitsource.Open(gitsource.Options{URL: repo.Dir, Dir: filepath.Join(b.TempDir(), "git")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for b.Loop() {
		repo.Put(map[string]string{"modules/m0007/files/motd": fmt.Sprint(b.Elapsed())}).Commit("next")
		at := b.Elapsed()
		c, err := s.Fetch(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64((b.Elapsed() - at).Milliseconds()), "fetch-ms")
		at = b.Elapsed()
		tree, err := s.Tree(c)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := policy.Read(tree, func(*policy.Policy, *policy.Content) error { return nil }); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64((b.Elapsed() - at).Milliseconds()), "read-ms")
	}
}
