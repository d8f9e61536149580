package hub_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/hub"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/traits"
)

// roles are those of the fleet of these tests, by condition.
var roles = map[string][]string{
	"":                                    {"base"},
	`role == "web"`:                       {"web"},
	`role == "db"`:                        {"db"},
	`os.family == "debian"`:               {"apt"},
	`role == "db" and os.family == "bsd"`: {"dbbsd"},
	`not (role == "web")`:                 {"other"},
}

func roleLanguage() catalog.Language {
	schema := expr.NewSchema()
	traits.Schema(schema)
	return catalog.Language{Kinds: resources.Registry(), Schema: schema}
}

// release pushes a bundle with a layer for every module of the roles, which holds some text, and points the channel to it.
func (s *site) release(seq int64, text string) bundle.Built {
	s.t.Helper()
	built := s.pack(text)
	s.point(s.pointer(seq, built))
	return built
}

func (s *site) pack(text string) bundle.Built {
	s.t.Helper()
	p := policy.Policy{Fleet: &policy.Fleet{Name: "acme", Labels: []string{"role"}}}
	var modules []string
	for when, some := range roles {
		r := &policy.Role{Name: some[0], When: policy.Text{S: when}}
		for _, m := range some {
			r.Modules = append(r.Modules, policy.Use{Module: m})
		}
		p.Roles, modules = append(p.Roles, r), append(modules, some...)
	}
	slices.Sort(modules)
	slices.SortFunc(p.Roles, func(a, b *policy.Role) int { return strings.Compare(a.Name, b.Name) })
	fleet, err := json.Marshal(p)
	s.must(err)
	layers := []bundle.LayerInput{{Files: []bundle.File{{Path: "compiled.json", Data: fleet}}}}
	for _, m := range modules {
		layers = append(layers, bundle.LayerInput{Module: m, Files: []bundle.File{{Path: "compiled.json", Data: []byte("{}")}, {Path: "files/text", Data: []byte(m + text)}}})
	}
	built, err := bundle.Build(bundle.Config{Fleet: "acme", Channels: []string{"stable"}}, layers)
	s.must(err)
	s.must(built.Push(s.t.Context(), s.centre, ""))
	signature, err := s.bundleKey.SignManifest(s.t.Context(), built.Descriptor)
	s.must(err)
	s.attach(built.Descriptor, signature)
	return built
}

// scoped opens a hub with a scope.
func (s *site) scoped(modules, selectors []string) *hub.Mirror {
	s.t.Helper()
	scope, err := hub.ParseScope(modules, selectors, roleLanguage())
	s.must(err)
	m, err := hub.NewMirror(hub.MirrorConfig{Upstream: s.centre, Local: s.local, Fleet: "acme", Channels: []string{"stable"}, Root: s.root, Scope: scope,
		State: s.state, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return s.now }})
	s.must(err)
	return m
}

// holds returns the modules of a bundle whose layers a store has, whole; the fleet layer has no name.
func (s *site) holds(store bundle.Source, built bundle.Built) string {
	s.t.Helper()
	var held []string
	for _, l := range s.layers(built) {
		_, err := bundle.Fetch(s.t.Context(), store, l.Descriptor, bundle.MaxLayer)
		switch {
		case err == nil:
			held = append(held, l.module)
		case !errors.Is(err, bundle.ErrNotFound):
			s.t.Fatal(err)
		}
	}
	return strings.Join(held, " ")
}

type moduleLayer struct {
	bundle.Descriptor
	module string
}

func (s *site) layers(built bundle.Built) []moduleLayer {
	s.t.Helper()
	m, c, err := bundle.Read(s.t.Context(), s.centre, built.Descriptor)
	s.must(err)
	var all []moduleLayer
	for i, l := range c.Layers {
		all = append(all, moduleLayer{m.Layers[i], l.Module})
	}
	return all
}

// layer is the digest of a module's layer.
func (s *site) layer(built bundle.Built, module string) string {
	s.t.Helper()
	for _, l := range s.layers(built) {
		if l.module == module {
			return l.Digest
		}
	}
	s.t.Fatalf("no module %s", module)
	return ""
}

// What labels rule out is not mirrored; what traits decide is.
func TestAScopedMirrorHoldsWhatItsSiteNeeds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		modules, nodes []string
		want           string
	}{
		"no scope":             {nil, nil, " apt base db dbbsd other web"},
		"nodes of one role":    {nil, []string{"role=web"}, " apt base web"},
		"nodes of two roles":   {nil, []string{"role=web", "role=db"}, " apt base db dbbsd other web"},
		"nodes of no role":     {nil, []string{"role=printer"}, " apt base other"},
		"an unknown label":     {nil, []string{"rolle=web"}, " apt base db dbbsd other web"},
		"patterns":             {[]string{"db*"}, nil, " db dbbsd"},
		"patterns beside role": {[]string{"dbb*"}, []string{"role=web"}, " apt base dbbsd web"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			built := s.release(1, "one")
			s.must(s.scoped(tt.modules, tt.nodes).Sync(t.Context()))
			if got := s.holds(s.local, built); got != tt.want {
				t.Errorf("it holds %q, want %q", got, tt.want)
			}
			if d, err := s.local.Resolve(t.Context(), built.Descriptor.Digest); err != nil || d.Digest != built.Descriptor.Digest {
				t.Errorf("the manifest is another: %v, %v", d, err)
			}
		})
	}
}

func TestAScopeThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	for _, selector := range []string{"", "role", "role=", "=web", "role=web,", "role=web,role=db"} {
		if _, err := hub.ParseScope(nil, []string{selector}, roleLanguage()); err == nil {
			t.Errorf("--for %q is taken", selector)
		}
	}
	for _, pattern := range []string{"", "a["} {
		if _, err := hub.ParseScope([]string{pattern}, nil, roleLanguage()); err == nil {
			t.Errorf("--module %q is taken", pattern)
		}
	}
}

// A layer that a node needs beside the scope is fetched when it asks, and of the next bundle before that is shown.
func TestAModuleBesideTheScopeComesOnDemand(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx := t.Context()
	first := s.release(1, "one")
	m := s.scoped(nil, []string{"role=web"})
	s.must(m.Sync(ctx))
	db, web := s.layer(first, "db"), s.layer(first, "web")

	s.centre.Fail(errors.New("the cable is pulled"))
	_, err := m.Provide(ctx, db)
	var absent *hub.Absent
	if !errors.As(err, &absent) || absent.Module != "db" || absent.Bundle != first.Descriptor.Digest || !strings.Contains(err.Error(), "the cable is pulled") {
		t.Fatalf("without an uplink: %v", err)
	}
	if fetched, err := m.Provide(ctx, web); fetched || err != nil {
		t.Errorf("what is there: %v, %v", fetched, err)
	}
	s.centre.Fail(nil)

	m = s.scoped(nil, []string{"role=web"}) // after a restart it knows the bundles of before
	if fetched, err := m.Provide(ctx, db); !fetched || err != nil {
		t.Fatalf("with an uplink: %v, %v", fetched, err)
	}
	if got := s.holds(s.local, first); got != " apt base db web" {
		t.Errorf("it holds %q", got)
	}
	if fetched, err := m.Provide(ctx, db); fetched || err != nil {
		t.Errorf("a second time: %v, %v", fetched, err)
	}

	second := s.release(2, "two")
	m = s.scoped(nil, []string{"role=web"})
	s.must(m.Sync(ctx))
	if got := s.holds(s.local, second); got != " apt base db web" {
		t.Errorf("of the next bundle it holds %q", got)
	}
	s.now = s.now.Add(91 * 24 * time.Hour)
	p := s.pointer(3, s.pack("three"))
	p.Issued, p.Expires = s.now, s.now.Add(time.Hour)
	s.point(p)
	s.must(m.Sync(ctx))
	if got := s.holds(s.local, s.pack("three")); got != " apt base web" {
		t.Errorf("after three months in which nobody asked it holds %q", got)
	}
}

// Nothing is fetched that no verified bundle names, and nothing stored that has another digest.
func TestOnDemandComesOnlyWhatABundleNames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx := t.Context()
	built := s.release(1, "one")
	m := s.scoped([]string{"web"}, nil)
	s.must(m.Sync(ctx))
	other := s.layer(s.pack("never shown"), "db")
	if fetched, err := m.Provide(ctx, other); fetched || err != nil {
		t.Errorf("the layer of a bundle that is not mirrored: %v, %v", fetched, err)
	}
	db := s.layer(built, "db")
	s.centre.Tamper(db, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	var refused *bundle.Refusal
	if _, err := m.Provide(ctx, db); !errors.As(err, &refused) || refused.Name != bundle.WrongDigest {
		t.Errorf("a layer with a wrong byte: %v", err)
	}
	if got := s.holds(s.local, built); got != " web" {
		t.Errorf("it holds %q", got)
	}
}

// A hub that is started with more in its scope fetches that of the bundle it shows already.
func TestAWiderScopeIsFilled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	built := s.release(1, "one")
	s.must(s.scoped([]string{"web"}, nil).Sync(t.Context()))
	s.must(s.scoped([]string{"web", "db"}, nil).Sync(t.Context()))
	if got := s.holds(s.local, built); got != " db web" {
		t.Errorf("it holds %q", got)
	}
}

// The pointer comes last: as long as one layer of the scope is missing, the site is shown what was there before.
func TestAScopedMirrorShowsNothingHalf(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	m := s.scoped(nil, []string{"role=web"})
	s.release(1, "one")
	s.must(m.Sync(t.Context()))
	second := s.release(2, "two")
	whole := []byte(nil)
	s.centre.Tamper(s.layer(second, "web"), func(b []byte) []byte { whole = slices.Clone(b); return b[:1] })
	if err := m.Sync(t.Context()); err == nil {
		t.Error("a layer of the scope is missing, and nothing is said")
	}
	if got := m.Versions()["stable"]; got != "1.1" {
		t.Errorf("it shows %s", got)
	}
	s.centre.Tamper(s.layer(second, "web"), func([]byte) []byte { return whole })
	s.must(m.Sync(t.Context()))
	if got := m.Versions()["stable"]; got != "1.2" {
		t.Errorf("it shows %s", got)
	}
}
