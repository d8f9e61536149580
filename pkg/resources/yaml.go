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
type YAML dataEdit

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
