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
	"slices"
	"strings"
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
	every   time.Duration
	sources []string
	typ     reflect.Type
	collect func(ctx context.Context, h *host.Host) (json.RawMessage, error)
}

// CollectorOf makes a collector of a function that fills in a documented value. The function returns trait.ErrNone where
// the trait does not apply, and a [partial] error beside a value that is good as far as it goes. It has three seconds,
// or thirty if it is expensive.
func CollectorOf[T any](name string, class trait.Class, collect func(ctx context.Context, h *host.Host) (T, error)) Collector {
	timeout := 3 * time.Second
	if class == trait.Hourly {
		timeout = 30 * time.Second
	}
	return Collector{name: name, class: class, timeout: timeout, every: every(class), typ: reflect.TypeFor[T](),
		collect: func(ctx context.Context, h *host.Host) (doc json.RawMessage, err error) {
			defer func() {
				if p := recover(); p != nil {
					err = fmt.Errorf("the collector panicked: %v", p)
				}
			}()
			v, err := collect(ctx, h)
			var some *partial
			if err != nil && !errors.As(err, &some) {
				return nil, err
			}
			doc, encoding := json.Marshal(v)
			return doc, errors.Join(err, encoding)
		}}
}

// Within gives the collector another time to answer in.
func (c Collector) Within(timeout time.Duration) Collector {
	c.timeout = timeout
	return c
}

// Every makes the trait be collected at another pace than its class says.
func (c Collector) Every(pace time.Duration) Collector {
	c.every = pace
	return c
}

// Watching makes the trait due as soon as one of these files, or of the files in these folders, has changed, however
// recently it was collected.
func (c Collector) Watching(paths ...string) Collector {
	c.sources = paths
	return c
}

// Kind describes the trait.
func (c Collector) Kind() trait.Kind { return trait.Kind{Name: c.name, Class: c.class, Type: c.typ} }

// Used leaves out the collectors whose trait nobody looks at: for a run that stands alone, which sends traits to no
// service and keeps them for no other run.
func Used(collectors []Collector, used func(name string) bool) []Collector {
	return slices.DeleteFunc(slices.Clone(collectors), func(c Collector) bool { return !used(c.name) })
}

// stamp is a text that changes whenever a source does. What cannot be looked at is left to the collector to tell.
func (c Collector) stamp(h *host.Host) string {
	stamp := ""
	for _, path := range c.sources {
		info, err := h.FS.Stat(path)
		if err != nil {
			continue
		}
		infos := []host.Info{info}
		if info.Kind == host.Dir {
			if inside, err := h.FS.List(path); err == nil {
				infos = append(infos, inside...)
			}
		}
		for _, i := range infos {
			stamp += fmt.Sprintln(path, i.Name, i.Kind, i.Size, i.Mode, i.UID, i.ModTime.UnixNano())
		}
	}
	return stamp
}

// A partial error says that a value lacks something, and why.
type partial struct{ err error }

func (p *partial) Error() string { return p.err.Error() }
func (p *partial) Unwrap() error { return p.err }

// partly joins what went wrong on the way to a value that is good as far as it goes; nil if nothing did.
func partly(problems ...error) error {
	if err := errors.Join(problems...); err != nil {
		return &partial{err}
	}
	return nil
}

// Kinds describes all traits, by name.
func Kinds() []trait.Kind {
	kinds := []trait.Kind{{Name: "agent", Class: trait.Volatile, Type: reflect.TypeFor[Agent]()}}
	for _, c := range All() {
		kinds = append(kinds, c.Kind())
	}
	slices.SortFunc(kinds, func(a, b trait.Kind) int { return strings.Compare(a.Name, b.Name) })
	return kinds
}

// Schema adds the types of all traits to s.
func Schema(s *expr.Schema) {
	for _, k := range Kinds() {
		s.Trait(k.Name, k.Type)
	}
}

// Agent is what the agent says of itself.
//
//	when: agent.pending_refreshes == 0
type Agent struct {
	// Version of the agent.
	Version string `json:"version"`
	// Bundle is the digest of the bundle in force; empty until the first was accepted.
	Bundle string `json:"bundle"`
	// Pointer is the version of the newest channel pointer that was accepted; empty until then.
	Pointer string `json:"pointer"`
	// PendingRefreshes is the number of resources that owe a refresh.
	PendingRefreshes int `json:"pending_refreshes"`
	// Spooled is the number of runs that wait for the report service.
	Spooled int `json:"spooled"`
	// Modes are the modes that the last run was in.
	Modes []string `json:"modes"`
	// Unready are the modes that could not be flipped on this node now: a module that it would need cannot be fetched, or does
	// not compile.
	Unready []string `json:"unready"`
}

// missing turns "not there" into "does not apply".
func missing(err error) error {
	if errors.Is(err, host.ErrNotFound) || errors.Is(err, errors.ErrUnsupported) {
		return trait.ErrNone
	}
	return err
}

// read returns a file of at most 1 MiB as text.
func read(h *host.Host, path string) (string, error) {
	data, err := h.FS.Read(path, 1<<20)
	return string(data), err
}
