package agent

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/converge"
	"vigo.dev/pkg/guard"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/redact"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resource"
	"vigo.dev/pkg/traits"
)

// A PolicySource gives a policy for a run without a server, and the digest and commit it came from where it has any.
type PolicySource func(ctx context.Context, l catalog.Language) (*policy.Policy, *policy.Content, report.Run, error)

// Folder reads and compiles a policy from files.
func Folder(fsys fs.FS) PolicySource {
	return func(_ context.Context, l catalog.Language) (*policy.Policy, *policy.Content, report.Run, error) {
		_, layers, err := policy.Read(fsys, l.Check)
		if err != nil {
			return nil, nil, report.Run{}, err
		}
		p, content, err := policy.FromLayers(layers)
		return p, content, report.Run{}, err
	}
}

// Bundle reads a bundle by tag; verify, if not nil, must accept it first.
func Bundle(src bundle.Source, tag string, verify func(context.Context, bundle.Source, bundle.Descriptor) error) PolicySource {
	return func(ctx context.Context, _ catalog.Language) (*policy.Policy, *policy.Content, report.Run, error) {
		d, err := src.Resolve(ctx, tag)
		if err != nil {
			return nil, nil, report.Run{}, fmt.Errorf("looking for %s: %w", tag, err)
		}
		if verify != nil {
			if err := verify(ctx, src, d); err != nil {
				return nil, nil, report.Run{}, err
			}
		}
		m, cfg, err := bundle.Read(ctx, src, d)
		if err != nil {
			return nil, nil, report.Run{}, err
		}
		l := &loaded{digest: d.Digest, manifest: m, config: cfg}
		modules := make([]string, len(cfg.Layers))
		for i, layer := range cfg.Layers {
			modules[i] = layer.Module
		}
		if err := l.fetch(ctx, src, modules...); err != nil {
			return nil, nil, report.Run{}, err
		}
		if err := l.parse(); err != nil {
			return nil, nil, report.Run{}, err
		}
		return l.policy, l.content, report.Run{Bundle: d.Digest, Commit: cfg.Source.Commit}, nil
	}
}

// ApplyConfig says how to converge without a server.
type ApplyConfig struct {
	State    State // its lock is held by the caller
	Language catalog.Language
	Host     *host.Host
	Log      *slog.Logger
	Now      func() time.Time
	Source   PolicySource
	Node     string // the host name if empty
	Labels   map[string]string
	DryRun   bool
	Only     func(resource.Item) bool // narrows the run, see [converge.Options]; nil: everything
	Version  string
	// Secrets opens those of the policy that the node may have; nil: there are none, and what needs one fails.
	Secrets func(ctx context.Context, p *policy.Policy, names []string) map[string]catalog.Secret
	// Unguarded has guarded resources changed like others. Otherwise they are not: nobody would confirm that.
	Unguarded bool
	// Rest makes the process small before and between the parts of a run that take memory each; nil: it grows as it may.
	Rest func()
}

// Apply converges a host once with a policy. An error means that nothing was tried; what became of each resource is in
// the run.
func Apply(ctx context.Context, c ApplyConfig) (report.Run, error) {
	if c.Rest == nil {
		c.Rest = func() {}
	}
	c.Rest() // of the start of the program
	p, content, from, err := c.Source(ctx, c.Language)
	if err != nil {
		return report.Run{}, err
	}
	c.Rest() // of reading
	if c.Node == "" {
		if c.Node, err = c.Host.Kernel.Hostname(ctx); err != nil {
			return report.Run{}, fmt.Errorf("asking for the host name: %w", err)
		}
	}
	kept, err := guard.Open(c.State.Path(guardFile), guard.MachineClock, c.DryRun)
	if kept == nil {
		return report.Run{}, err
	} else if err != nil {
		c.Log.Warn("going on", "err", err)
	}
	if !c.DryRun {
		if _, err := kept.Revert(ctx, c.Host); err != nil {
			c.Log.Warn("going on", "err", err)
		}
	}
	gathered := traits.NewScheduler(traits.Used(traits.All(), mentions(p, content)), c.Now).Gather(ctx, c.Host, traits.Agent{Version: c.Version})
	labels := c.Language.Labels(p, c.Node)
	for name, value := range c.Labels {
		labels[name] = value
	}
	values, known, err := c.secrets(ctx, p, content, labels)
	if err != nil {
		return report.Run{}, err
	}
	if known != nil {
		shown := &atomic.Pointer[opened]{}
		shown.Store(&opened{known: known})
		c.Log = slog.New(discreetLog{c.Log.Handler(), shown})
	}
	cat, err := c.Language.Build(p, content, catalog.Input{Node: c.Node, Labels: labels, Traits: gathered.Set, Modes: p.Fleet.Modes, OnNode: true, Once: true, Secrets: values})
	if err != nil {
		return report.Run{}, err
	}
	j, err := openJournal(c.State.Path(journalFile), c.DryRun)
	if j == nil {
		return report.Run{}, err
	} else if err != nil {
		c.Log.Warn("going on with an empty journal", "err", err)
	}
	c.Rest() // of building
	c.Host.Turns = turns{node: c.Node, log: c.Log, find: func() (*policy.RebootPool, string, error) { return c.Language.RebootPool(p, c.Node, labels) }}
	run := converge.Run(ctx, cat, discreet(c.Host, known), converge.Options{DryRun: c.DryRun, Only: c.Only, Journal: j, Log: c.Log, Now: c.Now,
		Secrets: known, Guard: unconfirmed{kept, c.Unguarded}})
	run.Error = known.String(run.Error)
	run.ID, run.Node, run.Bundle, run.Commit = newID(run.Started), c.Node, from.Bundle, from.Commit
	return run, nil
}

// secrets opens what the roles of the node use, and returns what masks it.
func (c ApplyConfig) secrets(ctx context.Context, p *policy.Policy, content *policy.Content, labels map[string]string) (*catalog.Secrets, *redact.Redactor, error) {
	if c.Secrets == nil {
		return nil, nil, nil
	}
	names := c.Language.SecretsOf(p, content, c.Node, labels)
	if len(names) == 0 {
		return catalog.NewSecrets(nil, nil), nil, nil
	}
	salt, err := c.State.salt(c.DryRun)
	if err != nil {
		return nil, nil, err
	}
	values := c.Secrets(ctx, p, names)
	var all []string
	for _, v := range values {
		if v.Lacks == "" {
			all = append(all, v.Value)
		}
	}
	return catalog.NewSecrets(values, salt), redact.New(all...), nil
}

// mentions tells whether a policy has a word anywhere in its conditions, values or templates. What cannot be searched
// may mention anything.
func mentions(p *policy.Policy, content *policy.Content) func(word string) bool {
	var texts [][]byte
	search := func(module string) {
		// Most of a large policy is modules without any condition or template, which look at no trait.
		if compact := content.Conditional(module); compact != nil {
			texts = append(texts, compact)
		}
	}
	readable := true
	templates := func(module string) {
		for _, name := range content.List(module, "templates", "") {
			template, err := content.Template(module, name)
			readable = readable && err == nil
			texts = append(texts, []byte(template))
		}
	}
	search("")
	templates("")
	for module := range p.Modules {
		search(module)
		templates(module)
	}
	if !readable {
		return func(string) bool { return true }
	}
	return func(word string) bool {
		return slices.ContainsFunc(texts, func(text []byte) bool { return bytes.Contains(text, []byte(word)) })
	}
}
