package agent

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/redact"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/seal"
)

// opened is the secrets of this node in memory, and the artifact they are from. On disk there is only what is sealed.
type opened struct {
	digest string // empty: there is no artifact
	values *catalog.Secrets
	known  *redact.Redactor
	until  time.Time // nothing is sealed to this node, which has just joined: so long that is no failure; zero: it is not so
}

// joining is how long a node may be without secrets after it has joined, before that is a failure. A controller needs a look at the
// report service for them (15 s as a rule), and a hub one at the registry.
const joining = 5 * time.Minute

// none is what a node has to which nothing is sealed.
func (a *Agent) none(digest string) *opened {
	return &opened{digest: digest, values: catalog.NewSecrets(nil, nil), known: a.remember(nil)}
}

// unsealed is what a node has for which an artifact, if there is one, holds nothing. One that has just joined may be unknown to the
// controller still, and waits.
func (a *Agent) unsealed(digest string) *opened {
	none, until := a.none(digest), a.Enrolment.Enrolled.Add(joining)
	if now := a.Now(); a.Enrolment.Enrolled.IsZero() || now.Before(a.Enrolment.Enrolled) || !now.Before(until) {
		return none
	}
	none.until, none.values = until, catalog.AwaitedSecrets(until)
	return none
}

// waiting says whether nothing is sealed to this node, which is no failure yet.
func (o *opened) waiting(now time.Time) bool { return o != nil && now.Before(o.until) }

// over says whether that has become one.
func (o *opened) over(now time.Time) bool { return !o.until.IsZero() && !now.Before(o.until) }

// soonest is the shortest time to the next cycle of a node that waits for its secrets.
const soonest = 2 * time.Second

// haste is how soon the next cycle is to come; 0: when it is its time. A node that has just joined and waits for its secrets looks again
// after half of the time since it joined: soon, and less and less often at a controller that does not come.
func (a *Agent) haste(run report.Run) time.Duration {
	now := a.Now()
	if run.Counts.Waiting == 0 || !a.secrets.Load().waiting(now) {
		return 0
	}
	return max(soonest, now.Sub(a.Enrolment.Enrolled)/2)
}

// remember masks values from now on, beside those that were in force a while ago: what was taken away or changed may still be
// on the host, and shows when it goes. They outlive the process in [rememberedFile].
func (a *Agent) remember(values []string) *redact.Redactor {
	a.mu.Lock()
	defer a.mu.Unlock()
	path, key := a.State.Path(rememberedFile), a.privateKey()
	if a.past == nil {
		var err error
		if a.past, err = readRemembered(path, key); err != nil {
			a.Log.Warn("values that were in force before may show", "err", err)
		}
	}
	if a.past.inForce(values, a.Now()) && !a.DryRun && len(key) > 0 {
		if err := a.past.save(path, key); err != nil {
			a.Log.Warn("values that are in force may show after a restart", "err", err)
		}
	}
	if len(a.past.Values) == 0 {
		return nil
	}
	return redact.New(a.past.texts()...)
}

// privateKey is the key of this node; nil for one that has none of the kind that secrets are sealed to.
func (a *Agent) privateKey() ed25519.PrivateKey {
	key, _ := a.Key.Signer().(ed25519.PrivateKey)
	return key
}

// openSecrets fetches and opens what the artifact that a pointer names holds for this node. An error means that it could not be
// looked at; an artifact that holds nothing for this node, or nothing it can open, is no error: the resources that need it
// say so, or wait, and the rest is enforced.
func (a *Agent) openSecrets(ctx context.Context, src bundle.Source, t bundle.Target) (*opened, error) {
	key := a.privateKey()
	switch {
	case len(key) == 0:
		return a.none(t.Digest), nil
	case t.Digest == "":
		return a.unsealed(""), nil
	}
	d := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: t.Digest, Size: t.Size}
	sealed, err := seal.Find(ctx, src, d, a.Enrolment.Fleet, a.Enrolment.Channel, seal.ID(key.Public().(ed25519.PublicKey)))
	if err != nil {
		return nil, err
	}
	if sealed == nil {
		return a.unsealed(t.Digest), nil
	}
	e, err := seal.Open(key, a.Enrolment.Fleet, a.Enrolment.Channel, a.Enrolment.Node, sealed)
	if err != nil {
		a.note(&bundle.Refusal{Name: "secrets", Detail: err.Error(), What: t.Digest})
		a.Log.Warn("what is sealed to this node is of no use to it", "err", err)
		return a.none(t.Digest), nil
	}
	salt, err := seal.Salt(key)
	if err != nil {
		return nil, err
	}
	values := make(map[string]catalog.Secret, len(e.Secrets))
	all := make([]string, 0, len(e.Secrets))
	for name, v := range e.Secrets {
		values[name] = catalog.Secret{Value: string(v.Value), Version: v.Version}
		all = append(all, string(v.Value))
	}
	return &opened{digest: t.Digest, values: catalog.NewSecrets(values, salt), known: a.remember(all)}, nil
}

// secretsTarget is the artifact that a pointer names; the zero target if it names none.
func secretsTarget(t *bundle.Target) bundle.Target {
	if t == nil {
		return bundle.Target{}
	}
	return *t
}

// takeSecrets takes over other secrets for the bundle in force.
func (a *Agent) takeSecrets(ctx context.Context, src bundle.Source, t bundle.Target, keep func() error) error {
	fresh, err := a.openSecrets(ctx, src, t)
	if err != nil {
		return fmt.Errorf("taking over secrets: %w", err)
	}
	if err := keep(); err != nil {
		return a.trouble(err)
	}
	doc := a.trustCopy()
	doc.Enforced.Secrets = t
	if err := a.saveTrust(doc); err != nil {
		return a.trouble(err)
	}
	a.mu.Lock()
	if a.loaded != nil {
		a.loaded.give(fresh)
	}
	a.mu.Unlock()
	a.Log.Info("secrets are as the pointer says", "digest", t.Digest, "pointer", doc.Pointer.Version())
	a.prune(ctx, doc)
	return nil
}

// give makes a loaded bundle one with these secrets.
func (l *loaded) give(s *opened) { l.secrets, l.built = s, built{} }

// withSecrets sees to it that a loaded bundle has the secrets that are in force with it. Without them what needs none is
// enforced.
func (a *Agent) withSecrets(ctx context.Context, l *loaded, src bundle.Source, t bundle.Target) {
	if l.secrets != nil && l.secrets.digest == t.Digest && !l.secrets.over(a.Now()) {
		a.secrets.Store(l.secrets)
		return
	}
	fresh, err := a.openSecrets(ctx, src, t)
	if err != nil {
		a.Log.Warn("enforcing what needs no secrets", "err", err)
		fresh = a.none("unopened") // asked for again by the next run
	}
	l.give(fresh)
	a.secrets.Store(fresh)
}

// redactor masks the secrets of this node; it may be nil.
func (a *Agent) redactor() *redact.Redactor {
	if s := a.secrets.Load(); s != nil {
		return s.known
	}
	return nil
}

// discreet is a view of a host that starts no program with a secret in its arguments: everybody on the host sees those. What
// a program says that fails is masked before a resource makes an error of its end, since a part of a secret is known by nobody.
func discreet(h *host.Host, secrets *redact.Redactor) *host.Host {
	if secrets == nil {
		return h
	}
	view := *h
	view.Run = discreetRunner{h.Run, secrets}
	return &view
}

type discreetRunner struct {
	host.Runner
	secrets *redact.Redactor
}

var errShown = fault.WithHint(errors.New("a secret would be in its arguments, which everybody on the host sees"),
	"give it to the program through its environment, its input or a file")

// Run implements [host.Runner].
func (r discreetRunner) Run(ctx context.Context, c host.Command) (host.Result, error) {
	for _, arg := range c.Argv {
		if r.secrets.In(arg) {
			return host.Result{}, fmt.Errorf("running %s: %w", r.secrets.String(c.Argv[0]), errShown)
		}
	}
	res, err := r.Runner.Run(ctx, c)
	if err != nil || res.Code != 0 {
		res.Stdout, res.Stderr = r.clean(res.Stdout), r.clean(res.Stderr)
	}
	return res, err
}

func (r discreetRunner) clean(output []byte) []byte {
	return []byte(r.secrets.String(string(output)))
}

// discreetLog masks the secrets of a node in what is logged.
type discreetLog struct {
	slog.Handler
	secrets *atomic.Pointer[opened]
}

// Handle implements slog.Handler.
func (d discreetLog) Handle(ctx context.Context, r slog.Record) error {
	s := d.secrets.Load()
	if s == nil || s.known == nil {
		return d.Handler.Handle(ctx, r)
	}
	clean := slog.NewRecord(r.Time, r.Level, s.known.String(r.Message), r.PC)
	r.Attrs(func(at slog.Attr) bool {
		clean.AddAttrs(discreetAttr(at, s.known))
		return true
	})
	return d.Handler.Handle(ctx, clean)
}

func discreetAttr(at slog.Attr, known *redact.Redactor) slog.Attr {
	v := at.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.String(at.Key, known.String(v.String()))
	case slog.KindAny:
		if text := v.String(); known.In(text) {
			return slog.String(at.Key, known.String(text))
		}
	case slog.KindGroup:
		var clean []any
		for _, one := range v.Group() {
			clean = append(clean, discreetAttr(one, known))
		}
		return slog.Group(at.Key, clean...)
	}
	return at
}

// WithAttrs implements slog.Handler.
func (d discreetLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return discreetLog{d.Handler.WithAttrs(attrs), d.secrets}
}

// WithGroup implements slog.Handler.
func (d discreetLog) WithGroup(name string) slog.Handler {
	return discreetLog{d.Handler.WithGroup(name), d.secrets}
}
