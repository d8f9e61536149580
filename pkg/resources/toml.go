package resources

import (
	"context"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// TOML is a value inside a TOML file: it is set, merged into what is there, or removed. Order, blank lines and comments are
// kept: only the value is written anew. A list or a table in braces is written anew as a whole when something in it changes.
//
// Tables and lists on the way to the value are made: a table gets a header of its own. The edited text is read once more
// before it is written, and must say what was declared and else the same as before. 1 and 1.0 count as the same. A date of
// TOML is no text, and so none is ever the same as a value of the policy.
//
//	resources:
//	  - toml: registry mirror
//	    path: /etc/containerd/config.toml
//	    at: plugins."io.containerd.grpc.v1.cri".registry
//	    merge:
//	      config_path: /etc/containerd/certs.d
type TOML struct {
	// Name of the value in the policy, free to choose.
	Name string `vigo:"identity"`

	// Path of the file, absolute. It must not be a symbolic link.
	Path string `yaml:"path" vigo:"required"`

	// At leads to the value, such as server.ports[0] or users[name=web].role; keys with other characters stand in double
	// quotes. A list of keys and numbers will do too. Empty means the whole document.
	At resource.DataPath `yaml:"at"`

	// Value is what should be there: a scalar, a mapping or a list. What was there is replaced.
	Value any `yaml:"value"`

	// Merge is a mapping whose keys are set in the mapping that is there, level by level; other keys are left alone.
	Merge map[string]any `yaml:"merge"`

	// Items are elements that the list must have, in any place; others are left alone. With absent, elements it must not
	// have.
	Items []any `yaml:"items"`

	// Ensure says whether the value should be there. Absent removes what at leads to, or the items from it.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Create makes the file when it is missing. Without it a missing file is an error.
	Create bool `yaml:"create"`

	// Validation is a command that checks the new file before it takes the place of the old: {} stands for its path.
	Validation resource.Argv `yaml:"validate"`
}

var (
	_ resource.Validator = (*TOML)(nil)
	_ resource.Requirer  = (*TOML)(nil)
)

// Validate implements [resource.Validator].
func (t *TOML) Validate() error { return (*dataEdit)(t).validate() }

// Requires implements [resource.Requirer].
func (t *TOML) Requires() []resource.ID { return (*dataEdit)(t).requires() }

// Plan implements [resource.Resource].
func (t *TOML) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	return (*dataEdit)(t).plan(h, tomlFormat{})
}
