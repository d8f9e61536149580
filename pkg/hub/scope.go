package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
)

// A Scope says which modules of a bundle a site needs: those of either field. The zero value is all. What is not in it is still
// fetched when a node asks for it; see [Mirror.Provide].
type Scope struct {
	Modules []string // patterns of names, as of path.Match
	// Nodes are those of the site, each by some of its labels: of each, every module is needed that a role may give it, as far as
	// labels tell.
	Nodes    []map[string]string
	Language catalog.Language // for Nodes
}

// ParseScope reads what a person wrote: patterns of modules, and selectors of the form label=value[,label=value].
func ParseScope(modules, selectors []string, l catalog.Language) (Scope, error) {
	s := Scope{Modules: modules, Language: l}
	for _, pattern := range modules {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			return Scope{}, fault.WithHint(fmt.Errorf("%q is no pattern of modules", pattern), "write a name, or one with * in it, such as 'web-*'")
		}
	}
	for _, selector := range selectors {
		labels := map[string]string{}
		for part := range strings.SplitSeq(selector, ",") {
			name, value, ok := strings.Cut(part, "=")
			_, twice := labels[name]
			if !ok || name == "" || value == "" || twice {
				return Scope{}, fault.WithHint(fmt.Errorf("%q does not select nodes by their labels", selector), "write label=value, or label=value,other=value for nodes with both")
			}
			labels[name] = value
		}
		s.Nodes = append(s.Nodes, labels)
	}
	return s, nil
}

func (s Scope) all() bool { return len(s.Modules) == 0 && len(s.Nodes) == 0 }

// needed returns which modules of a bundle, of whose manifest and config this is, are needed; the fleet layer, which has no
// module, always is. Where the bundle cannot be understood, all are.
func (s Scope) needed(ctx context.Context, src bundle.Source, m bundle.Manifest, c bundle.Config, log *slog.Logger) (func(module string) bool, error) {
	every := func(string) bool { return true }
	if s.all() {
		return every, nil
	}
	var possible []string
	if len(s.Nodes) > 0 {
		p, err := fleetLayer(ctx, src, m, c)
		switch {
		case errors.As(err, new(*unreadable)):
			log.Warn("the roles of a bundle cannot be read, so all its modules are mirrored; a newer vigo may read them", "err", err)
			return every, nil
		case err != nil:
			return nil, err
		}
		s.warn(p, log)
		for _, labels := range s.Nodes {
			possible = append(possible, s.Language.PossibleModules(p, labels)...)
		}
	}
	return func(module string) bool {
		return module == "" || slices.Contains(possible, module) ||
			slices.ContainsFunc(s.Modules, func(pattern string) bool { ok, err := path.Match(pattern, module); return ok && err == nil })
	}, nil
}

// warn tells of labels that no condition can look at: they select nothing, which is most likely a typing mistake.
func (s Scope) warn(p *policy.Policy, log *slog.Logger) {
	for _, labels := range s.Nodes {
		for name := range labels {
			if !slices.Contains(p.Fleet.Labels, name) {
				log.Warn("the policy knows no such label, so it rules no module out", "label", name, "hint", fault.DidYouMean(name, p.Fleet.Labels))
			}
		}
	}
}

// unreadable says that a layer that is whole is not what this program understands.
type unreadable struct{ error }

func (u *unreadable) Unwrap() error { return u.error }

// fleetLayer reads the roles of a bundle.
func fleetLayer(ctx context.Context, src bundle.Source, m bundle.Manifest, c bundle.Config) (*policy.Policy, error) {
	at := slices.IndexFunc(c.Layers, func(l bundle.Layer) bool { return l.Module == "" })
	if at < 0 {
		return nil, &unreadable{errors.New("the bundle has no fleet layer")}
	}
	rc, err := src.Open(ctx, m.Layers[at])
	if err != nil {
		return nil, fmt.Errorf("reading the roles of a bundle: %w", err)
	}
	defer rc.Close()
	files, err := bundle.ReadFiles(rc, bundle.DefaultLimits(), policy.Needed)
	if err == nil {
		_, err = io.Copy(io.Discard, rc) // to the end, where the digest is checked
	}
	if err != nil {
		return nil, fmt.Errorf("reading the roles of a bundle: %w", err)
	}
	p, _, err := policy.FromLayers([]policy.Layer{{Files: files}})
	if err != nil {
		return nil, &unreadable{err}
	}
	return p, nil
}
