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
type TOML dataEdit

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
