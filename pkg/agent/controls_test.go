package agent

import (
	"testing"

	"vigo.dev/pkg/report"
)

// A node tells which resources of its policy serve which control, once, and nothing when none does.
func TestControlsAreTold(t *testing.T) {
	r := newRig(t)
	r.publish(motdPolicy("hello"))
	a := r.start()
	r.once(a)
	if _, told := r.service.last(t).Facets[report.ControlsTrait]; told {
		t.Error("a policy without controls tells of some")
	}
	r.publish(motdPolicy("hello", map[string]string{
		"modules/motd/module.yaml": "kind: Module\nresources:\n  - file: /etc/motd\n    content: \"hello\\n\"\n    controls: [\"cis:1.7\", \"cis:1.8\"]\n  - file: /etc/issue\n    content: \"x\\n\"\n    controls: [\"cis:1.7\"]\n"}))
	r.once(a)
	said := r.service.last(t)
	digest := said.Facets[report.ControlsTrait]
	if digest == "" {
		t.Fatalf("it tells of %v", said.Facets)
	}
	a.mu.Lock()
	_, facets := a.tells()
	a.mu.Unlock()
	if doc := string(facets[report.ControlsTrait].Doc); doc != `{"cis:1.7":["motd/file:/etc/issue","motd/file:/etc/motd"],"cis:1.8":["motd/file:/etc/motd"]}` || facets[report.ControlsTrait].Digest != digest {
		t.Errorf("it tells %s", doc)
	}
	r.once(a)
	if again := r.service.last(t); again.Traits != said.Traits || again.Facets != nil {
		t.Errorf("it tells it again: %v", again.Facets)
	}
}
