package resources

import (
	"context"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// JSON is a value inside a JSON file: it is set, merged into what is there, or removed. Order, white space, comments (as
// some programs allow in their JSON) and everything else in the file are kept.
//
// Mappings and lists on the way to the value are made. The edited text is read once more before it is written, and must
// say what was declared and else the same as before.
//
//	resources:
//	  - json: log driver
//	    path: /etc/docker/daemon.json
//	    create: true
//	    merge:
//	      log-driver: journald
//	      default-ulimits: {nofile: {Name: nofile, Hard: 64000}}
//	  - json: mirror
//	    path: /etc/docker/daemon.json
//	    at: registry-mirrors
//	    items: ["https://mirror.example.com"]
type JSON struct {
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
	_ resource.Validator = (*JSON)(nil)
	_ resource.Requirer  = (*JSON)(nil)
)

// Validate implements [resource.Validator].
func (j *JSON) Validate() error { return (*dataEdit)(j).validate() }

// Requires implements [resource.Requirer].
func (j *JSON) Requires() []resource.ID { return (*dataEdit)(j).requires() }

// Plan implements [resource.Resource].
func (j *JSON) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	return (*dataEdit)(j).plan(h, jsonFormat{})
}
