package resourcetest

import (
	"context"
	"os"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// knob is a resource type that can be broken on purpose.
type knob struct {
	Name   string `vigo:"identity"`
	Fault  string `yaml:"fault"`
	Secret string `yaml:"secret" vigo:"secret"`
}

func (k *knob) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	if k.Fault == "plan writes" {
		return p, h.Kernel.SetHostname(ctx, k.Name)
	}
	is, err := h.Kernel.Hostname(ctx)
	if err != nil || is == k.Name && k.Fault != "never done" {
		return p, err
	}
	c := change.Of("name", is, k.Name)
	if k.Fault == "shows secret" {
		c.To = k.Secret
	}
	p.Do(func(ctx context.Context) error {
		if k.Fault == "does nothing" {
			return nil
		}
		return h.Kernel.SetHostname(ctx, k.Name)
	}, c)
	return p, nil
}

// The suite must notice every way in which a type can break the contract.
func TestBrokenTypesAreNoticed(t *testing.T) {
	t.Parallel()
	kind := resource.KindOf[knob]("knob")
	for fault, want := range map[string]string{
		"":             "",
		"plan writes":  "Plan wrote to the host 1 times",
		"does nothing": "the host saw the writes []",
		"never done":   "not idempotent: a second plan wants",
		"shows secret": `shows the secret "hunter2"`,
	} {
		text := "-- resource --\nknob: b\nsecret: hunter2\nfault: \"" + fault + "\"\n-- host --\nhostname a\n"
		_, broken := prove(kind, &testCase{txtar.Parse([]byte(text))})
		all := strings.Join(broken, "\n")
		if want == "" && all != "" || !strings.Contains(all, want) {
			t.Errorf("%s: want %q, got %q", fault, want, all)
		}
	}
}

func TestCasesAreReadStrictly(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		"has no comment":      "-- resource --\nknob: a\n",
		"has no section":      "About.\n-- host --\n",
		"unknown section aft": "About.\n-- resource --\nknob: a\n-- aft --\n",
	} {
		path := t.TempDir() + "/case.txtar"
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readCase(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s, got %v", want, err)
		}
	}
}
