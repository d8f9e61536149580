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
type JSON dataEdit

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
