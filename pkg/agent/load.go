package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
	"golang.org/x/sync/errgroup"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/trait"
	"vigo.dev/pkg/trust"
)

// loaded is a verified bundle in memory, as far as this node needs it.
type loaded struct {
	digest   string
	manifest bundle.Manifest
	config   bundle.Config
	parts    []policy.Part
	modules  []string // whose layers are in parts
	policy   *policy.Policy
	content  *policy.Content
	looksAt  []string // traits that the policy may look at; nil until asked for
	lacking  error    // why layers are missing that this node needs; nil: it has all
	built    built
	secrets  *opened // nil until they are looked for
	prepared prepared
}

// ErrNothing says that no bundle was ever accepted.
var ErrNothing = errors.New("no policy has been accepted yet")

// uncompilable says that what a verified bundle holds cannot be used on this node: to fetch it again will not help.
type uncompilable struct{ error }

func (u *uncompilable) Unwrap() error { return u.error }

// load returns the bundle in force with the modules this node needs now. At start it comes from the cache and is
// verified again: what a disk holds is not trusted because it was trusted once.
func (a *Agent) load(ctx context.Context, set trait.Set) (*loaded, error) {
	const doing = "opening the bundle in force"
	a.mu.Lock()
	l, doc := a.loaded, a.trust
	a.mu.Unlock()
	if doc.Enforced.Digest == "" {
		return nil, ErrNothing
	}
	if err := a.standing(doc); err != nil {
		return nil, a.refused(doing, err)
	}
	if slices.Contains(doc.Pointer.Revoked, doc.Enforced.Digest) {
		return nil, fmt.Errorf("bundle %s is revoked by pointer %s", doc.Enforced.Digest, doc.Pointer.Version())
	}
	stage := a.Origin.Stage()
	if l == nil || l.digest != doc.Enforced.Digest {
		var err error
		if l, err = a.open(ctx, stage, doc.Enforced.Descriptor); err != nil {
			return nil, a.refused(doing, err)
		}
		switch err := a.begin(l.digest); {
		case errors.Is(err, errAside):
			return a.load(ctx, set) // the one before it
		case err != nil:
			a.trouble(err) // not counted is no reason not to enforce
		}
		if err := l.parse(); err != nil {
			return nil, a.refused(doing, err)
		}
	}
	lacked := l.lacking != nil
	l.lacking = nil
	if err := a.complete(ctx, l, set, stage); err != nil {
		err = a.refused(doing, err)
		if errors.As(err, new(*uncompilable)) || ctx.Err() != nil {
			return nil, err
		}
		l.lacking = err // a node that needs a module which nobody gives it keeps the others enforced
		if !lacked {
			a.Log.Warn("going on without modules that this node needs", "err", err)
		}
	}
	a.withSecrets(ctx, l, stage, doc.Enforced.Secrets)
	if err := a.keepStaged(ctx, stage); err != nil {
		a.trouble(err)
	}
	a.mu.Lock()
	a.loaded = l
	a.mu.Unlock()
	return l, nil
}

// open verifies a bundle and reads its fleet layer; what is in it is not looked at yet.
func (a *Agent) open(ctx context.Context, src bundle.Source, d bundle.Descriptor) (*loaded, error) {
	var v trust.Verified
	err := a.verifying(func(verifier *trust.Verifier) (err error) {
		v, err = verifier.Bundle(ctx, src, d, a.Enrolment.Fleet, a.Enrolment.Channel)
		return err
	})
	if err != nil {
		return nil, err
	}
	if older(a.Version, v.Config.MinAgent) {
		return nil, &trust.Refusal{Name: bundle.OldAgent, Detail: fmt.Sprintf("it asks for agent %.40q, this is %s", v.Config.MinAgent, a.Version), What: d.Digest}
	}
	l := &loaded{digest: d.Digest, manifest: v.Manifest, config: v.Config}
	return l, l.fetch(ctx, src, "")
}

// older says whether a version is before the lowest that is asked for. Builds on the way to a version count as that version,
// and one without a number as new enough; a demand that is no version is not met.
func older(version, lowest string) bool {
	have, want := "v"+version, "v"+lowest
	if lowest == "" || !semver.IsValid(have) {
		return false
	}
	if !semver.IsValid(want) {
		return true
	}
	return semver.Compare(strings.TrimSuffix(semver.Canonical(have), semver.Prerelease(have)), want) < 0
}

// complete fetches the layers of modules that this node needs and l does not have yet, as far as they can be had.
func (a *Agent) complete(ctx context.Context, l *loaded, set trait.Set, stage *ocistore.Stage) error {
	needed, err := a.Language.Modules(l.policy, a.input(l, set))
	if err != nil {
		return &uncompilable{fmt.Errorf("it does not say which modules this node needs: %w", err)}
	}
	missing := slices.DeleteFunc(slices.Clone(needed), func(m string) bool { return slices.Contains(l.modules, m) })
	if len(missing) == 0 {
		return nil
	}
	failed := l.fetch(ctx, stage, missing...)
	if err := l.parse(); err != nil {
		return err
	}
	return failed
}

// fetch reads the layers of modules through their digests, as far as they can be had; an empty module is the fleet layer. They
// are opened one after another, since a source is for one goroutine, and unpacked several at once.
func (l *loaded) fetch(ctx context.Context, src bundle.Source, modules ...string) error {
	parts, failed := make([]policy.Part, len(modules)), make([]error, len(modules))
	var unpacking errgroup.Group
	unpacking.SetLimit(runtime.GOMAXPROCS(0))
	for i, module := range modules {
		rc, err := l.layer(ctx, src, module)
		if err != nil {
			failed[i] = err
			continue
		}
		unpacking.Go(func() error {
			parts[i], failed[i] = unpack(rc, module)
			return nil // the others are wanted all the same
		})
	}
	_ = unpacking.Wait()
	for i, module := range modules {
		if failed[i] != nil {
			continue
		}
		l.parts = append(l.parts, parts[i])
		if module != "" {
			l.modules = append(l.modules, module)
		}
	}
	return errors.Join(failed...)
}

// layer opens the layer of a module.
func (l *loaded) layer(ctx context.Context, src bundle.Source, module string) (io.ReadCloser, error) {
	at := slices.IndexFunc(l.config.Layers, func(e bundle.Layer) bool { return e.Module == module })
	if at < 0 || at >= len(l.manifest.Layers) {
		return nil, &uncompilable{fmt.Errorf("bundle %s has no layer for module %q", l.digest, module)}
	}
	rc, err := src.Open(ctx, l.manifest.Layers[at])
	if err != nil {
		return nil, fmt.Errorf("fetching module %q: %w", module, err)
	}
	return rc, nil
}

// unpack reads a layer to its end, where its digest is checked, and closes it.
func unpack(rc io.ReadCloser, module string) (policy.Part, error) {
	defer rc.Close()
	files, err := bundle.ReadFiles(rc, bundle.DefaultLimits(), policy.Needed)
	if err == nil {
		_, err = io.Copy(io.Discard, rc)
	}
	if err != nil {
		return policy.Part{}, fmt.Errorf("reading module %q: %w", module, err)
	}
	return policy.ReadPart(policy.Layer{Module: module, Files: files}), nil
}

func (l *loaded) parse() (err error) {
	l.looksAt, l.built = nil, built{}
	if l.policy, l.content, err = policy.Assemble(l.parts); err != nil {
		return &uncompilable{fmt.Errorf("reading bundle %s: %w", l.digest, err)}
	}
	return nil
}
