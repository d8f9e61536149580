package house

import (
	"strings"
	"testing"
)

// TestAgentIsLight follows the imports of cmd/vigo-agent through this module and refuses what is too heavy for a host.
// What other modules import in turn is not followed.
func TestAgentIsLight(t *testing.T) {
	t.Parallel()
	_, files := readTree(t)
	byDir := map[string][]file{}
	for _, f := range files {
		if !f.test && !f.ignored {
			byDir[f.dir] = append(byDir[f.dir], f)
		}
	}
	starts := []string{"cmd/vigo-agent", "pkg/agent"}
	via := map[string]string{}
	for len(starts) > 0 {
		dir := starts[0]
		starts = starts[1:]
		for _, f := range byDir[dir] {
			for _, imp := range imports(f) {
				if to, ok := local(imp); ok {
					if _, seen := via[to]; !seen {
						via[to] = dir
						starts = append(starts, to)
					}
					continue
				}
				for heavy, why := range notInAgent {
					if strings.HasPrefix(imp, heavy) {
						t.Errorf("%s: the agent reaches %s (%s): %s", f.path, imp, trail(via, dir), why)
					}
				}
			}
		}
	}
}

// trail renders how the agent came to a package.
func trail(via map[string]string, dir string) string {
	steps := []string{dir}
	for via[dir] != "" && len(steps) < 20 {
		dir = via[dir]
		steps = append([]string{dir}, steps...)
	}
	return strings.Join(steps, " → ")
}

func TestFloors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"pkg/resource", "pkg/host", true},
		{"pkg/host", "pkg/resource", false},
		{"pkg/host", "pkg/change", false},
		{"pkg/report", "pkg/change", true},
		{"pkg/host/hosttest", "pkg/host", true},
		{"pkg/host/hosttest", "pkg/resource", false},
		{"pkg/resource/resourcetest", "pkg/host/hosttest", true},
		{"pkg/trust/sign", "pkg/trust", true},
		{"pkg/trust/sign", "pkg/catalog", false},
		{"pkg/controller", "pkg/gitsource", true},
		{"pkg/gitsource", "pkg/ocistore", false},
		{"cmd/vigo", "pkg/cli", true},
		{"pkg/cli", "pkg/up", true},
		{"pkg/up", "pkg/cli", false},
		{"pkg/unheard", "pkg/host", false},
	} {
		if got := mayImport(c.from, c.to); got != c.want {
			t.Errorf("%s importing %s: allowed %t, want %t", c.from, c.to, got, c.want)
		}
	}
}
