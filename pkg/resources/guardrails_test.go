package resources_test

import (
	"testing"

	"vigo.dev/pkg/resource"
	"vigo.dev/pkg/resources"
)

// An agent that keeps its state elsewhere is guarded there, and not where others keep theirs.
func TestGuardrailsFollowTheAgent(t *testing.T) {
	t.Parallel()
	elsewhere := resources.UsualAgent()
	elsewhere.State = "/srv/agent"
	kind, _ := resources.Registry().Kind("file")
	for name, tt := range map[string]struct {
		agent resources.Agent
		want  bool
	}{
		"/srv/agent/trust.json":          {elsewhere, true},
		"/var/lib/vigo-agent/trust.json": {elsewhere, false},
		"/srv/agents":                    {elsewhere, false},
		"/srv/agent":                     {resources.UsualAgent(), false},
	} {
		res, problems := kind.Decode(name, map[string]any{"content": "x"})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		broken := ""
		for _, g := range resources.Guardrails(tt.agent) {
			broken += g.Breaks(kind, resource.ID{Type: "file", Name: name}, res, nil)
		}
		if (broken != "") != tt.want {
			t.Errorf("%s: %q", name, broken)
		}
	}
}
