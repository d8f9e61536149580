package resource_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// shown has an attribute of every sort.
type shown struct {
	Name   string             `vigo:"identity"`
	Text   string             `yaml:"text"`
	Mode   *resource.Mode     `yaml:"mode"`
	On     *bool              `yaml:"on"`
	Left   *bool              `yaml:"left"`
	Secret string             `yaml:"secret" vigo:"secret"`
	Env    map[string]string  `yaml:"env" vigo:"secret"`
	Parts  []shownPart        `yaml:"parts"`
	Wait   *resource.Duration `yaml:"wait"`
}

type shownPart struct {
	Size int    `yaml:"size"`
	Key  string `yaml:"key" vigo:"secret"`
}

func (*shown) Plan(context.Context, *host.Host) (resource.Plan, error) { return resource.Plan{}, nil }

// What is shown has the keys of the policy, leaves out what is not set, and never holds a secret, however deep.
func TestAttributesHideSecrets(t *testing.T) {
	t.Parallel()
	kind := resource.KindOf[shown]("shown")
	res, problems := kind.Decode("it", map[string]any{
		"text": "a", "mode": "0640", "on": false, "secret": "s3cret", "env": map[string]any{"K": "s3cret"}, "wait": "90s",
		"parts": []any{map[string]any{"size": 2.0, "key": "s3cret"}, map[string]any{"size": 1.0}},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := map[string]any{
		"shown": "it", "text": "a", "mode": "0640", "on": false, "secret": resource.Hidden, "env": resource.Hidden, "wait": "1m30s",
		"parts": []any{map[string]any{"size": 2.0, "key": resource.Hidden}, map[string]any{"size": 1.0}},
	}
	if diff := cmp.Diff(want, kind.Attributes(res)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
