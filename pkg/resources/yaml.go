package resources

import (
	"context"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// YAML is a value inside a YAML file: it is set, merged into what is there, or removed. Order, blank lines, comments and the
// style of everything else are kept: only the lines of the value are written anew. A collection on one line, {a: 1}, is
// written anew as a whole when something in it changes.
//
// Mappings and lists on the way to the value are made. The edited text is read once more before it is written, and must
// say what was declared and else the same as before. A file of several documents is refused, and so is a change of what an
// alias stands for.
//
//	resources:
//	  - yaml: listen address
//	    path: /etc/app/config.yaml
//	    at: server.listen
//	    value: 0.0.0.0:8443
//	  - yaml: scrape job
//	    path: /etc/prometheus/prometheus.yml
//	    at: scrape_configs[job_name=node].static_configs[0].targets
//	    items: ["127.0.0.1:9100"]
type YAML struct {
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
	_ resource.Validator = (*YAML)(nil)
	_ resource.Requirer  = (*YAML)(nil)
)

// Validate implements [resource.Validator].
func (y *YAML) Validate() error { return (*dataEdit)(y).validate() }

// Requires implements [resource.Requirer].
func (y *YAML) Requires() []resource.ID { return (*dataEdit)(y).requires() }

// Plan implements [resource.Resource].
func (y *YAML) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	return (*dataEdit)(y).plan(h, yamlFormat{})
}
