// Package traits collects what a machine says of itself: one file a collector, each a documented struct whose fields are
// what conditions may use.
//
// It refuses to change anything and to look past host.Host: no file, process or socket is reached in another way. A
// collector that fails or hangs costs its own trait and nothing else.
package traits

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/trait"
)

// A Collector fills in one trait.
type Collector struct {
	name    string
	class   trait.Class
	timeout time.Duration
	typ     reflect.Type
	collect func(ctx context.Context, h *host.Host) (json.RawMessage, error)
}

// CollectorOf makes a collector of a function that fills in a documented value. The function returns trait.ErrNone where
// the trait does not apply.
func CollectorOf[T any](name string, class trait.Class, collect func(ctx context.Context, h *host.Host) (T, error)) Collector {
	timeout := 3 * time.Second
	if class == trait.Hourly {
		timeout = 30 * time.Second
	}
	return Collector{name: name, class: class, timeout: timeout, typ: reflect.TypeFor[T](),
		collect: func(ctx context.Context, h *host.Host) (doc json.RawMessage, err error) {
			defer func() {
				if p := recover(); p != nil {
					err = fmt.Errorf("the collector panicked: %v", p)
				}
			}()
			v, err := collect(ctx, h)
			if err != nil {
				return nil, err
			}
			return json.Marshal(v)
		}}
}

// Name is the name of the trait.
func (c Collector) Name() string { return c.name }

// Class is how often the trait is collected.
func (c Collector) Class() trait.Class { return c.class }

// Schema adds the types of all traits to s.
func Schema(s *expr.Schema) {
	for _, c := range All() {
		s.Trait(c.name, c.typ)
	}
	s.Trait("agent", reflect.TypeFor[Agent]())
}

// Agent is what the agent says of itself; the caller gives it.
type Agent struct {
	// Version of the agent.
	Version string `json:"version"`
	// Bundle is the digest of the bundle in force.
	Bundle string `json:"bundle,omitempty"`
	// Pointer is the version of the newest channel pointer that was accepted.
	Pointer string `json:"pointer,omitempty"`
	// PendingRefreshes is the number of resources that owe a refresh.
	PendingRefreshes int `json:"pending_refreshes"`
	// Spooled is the number of runs that wait for the report service.
	Spooled int `json:"spooled"`
}

// missing turns "not there" into "does not apply".
func missing(err error) error {
	if errors.Is(err, host.ErrNotFound) || errors.Is(err, errors.ErrUnsupported) {
		return trait.ErrNone
	}
	return err
}

// read returns a small file as text.
func read(h *host.Host, path string) (string, error) {
	data, err := h.FS.Read(path, 1<<20)
	return string(data), err
}
