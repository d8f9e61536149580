package up

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"vigo.dev/pkg/alert/deliver"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/dashboard"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/hook"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/ocistore/registry"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/reporting"
	"vigo.dev/pkg/secrets"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/pkg/trust"
)

// Repository is the name of the bundles' repository in the embedded registry.
const Repository = "vigo/bundles"

// The folders of a controller in its data folder.
const (
	keysDir = "keys"
	gitDir  = "git"
)

// Config says what to put up.
type Config struct {
	Data      string
	Fleet     string // name of the fleet; empty: that of the authority in Data, and at the first start that in fleet.yaml
	Listen    string
	Advertise string   // host:port that nodes reach; Listen if empty
	Names     []string // further names and addresses for the server certificate
	Git       string   // empty: the controller is elsewhere; then TrustRoot and Registry are needed
	Branch    string
	// AllowRewrite is the full hash of a tip that is accepted although the branch was rewritten.
	AllowRewrite string
	Registry     string // registry and repository to use instead of the embedded one
	PlainHTTP    bool   // reach Registry without TLS
	Username     string // for Registry
	Password     string
	Access       ocistore.Access           // to Registry, when no user is named
	Embedded     RegistryConfig            // when Registry is empty
	Keys         controller.KeyringOptions // but Now; where the keys are, unless TrustRoot is given
	TrustRoot    []byte                    // root document of a controller elsewhere; nil: the keys are in Data
	Channel      string                    // of nodes whose token names none
	Interval     time.Duration             // nodes are told; 0: what fleet.yaml says
	Store        string                    // address of a PostgreSQL database; "": a file in Data
	Keep         reporting.Keep            // for how long what nodes say is kept; the zero value: as usual
	RetireAfter  time.Duration             // see [reporting.Config]
	Authority    *identity.External        // nil: one of its own, in Data
	Approve      func(context.Context, hook.Request) error
	Alerts       string                  // file that says who is told of alerts; "": nobody
	Reload       <-chan os.Signal        // has it be read again; it is read when it changes, too
	OIDC         reporting.LoginVerifier // lets people in; nil: only operators of the service
	SignIn       dashboard.SignIn        // lets them in to the dashboard; nil: with tokens only
	Poll         time.Duration
	PointerTTL   time.Duration
	HookToken    string
	Forge        controller.Forge // optional
	// Forges finds the forge of another repository that feeds a channel; nil: none is known.
	Forges    func(url string) (controller.Forge, error)
	Retention controller.Retention // of old bundles; also in Registry
	Version   string               // of this program
	Language  catalog.Language
	Secrets   *secrets.Opener // opens what policies refer to as secrets; nil: nodes are given none
	// Examine looks at the data folder and the store, for operators far away; nil: nobody can.
	Examine func(context.Context) report.Diagnosis
	Log     *slog.Logger
	Now     func() time.Time
}

// A Stack is everything that is up.
type Stack struct {
	Config
	Addr net.Addr

	lock     *Lock
	ca       *identity.CA
	db       *sqlstore.DB
	reports  *reporting.Service
	registry *registry.Registry
	publish  *Publisher
	teller   *Teller
	listener net.Listener
}

// Open opens everything below one data folder, which it locks, and listens, so that who knows the address can connect;
// nothing is answered before Run. The caller closes it.
func Open(ctx context.Context, c Config) (s *Stack, err error) {
	s = &Stack{Config: c, teller: NewTeller()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.lock, err = LockData(c.Data); err != nil {
		return s, err
	}
	if err = restored(c.Data); err != nil {
		return s, err
	}
	if s.listener, err = net.Listen("tcp", c.Listen); err != nil {
		return s, fault.WithHint(fmt.Errorf("listening: %w", err), "another program may have the port: give another address with --listen")
	}
	s.Addr = s.listener.Addr()
	if s.Advertise == "" {
		s.Advertise = Advertised(s.Addr.String())
	}
	if err = s.openCA(ctx); err != nil {
		return s, err
	}
	if s.db, err = openStore(ctx, s.Data, s.Store); err != nil {
		return s, err
	}
	if s.Git == "" {
		return s, s.openReports(ctx, c.TrustRoot, s.reference())
	}
	if err = s.keysThere(ctx); err != nil {
		return s, err
	}
	c.Keys.Now = c.Now
	keys, err := Keys(ctx, c.Data, c.Keys)
	if err != nil {
		return s, err
	}
	store, err := s.openRegistry(ctx)
	if err != nil {
		return s, err
	}
	if err := s.openReports(ctx, keys.Root(), s.reference()); err != nil {
		return s, err
	}
	var sealer *controller.Sealer
	if c.Secrets != nil {
		sealer = &controller.Sealer{Opener: c.Secrets, Roster: s.reports, Language: c.Language}
	}
	s.publish, err = NewPublisher(PublisherConfig{Secrets: sealer, Judge: s.reports, Data: c.Data, Keys: keys, Git: c.Git, Branch: c.Branch, AllowRewrite: c.AllowRewrite, Store: store, Language: c.Language,
		Poll: c.Poll, PointerTTL: c.PointerTTL, HookToken: c.HookToken, Forge: c.Forge, Forges: c.Forges, Retention: c.Retention, Marks: marks(s.reports.Published()), Version: c.Version, Listener: s.teller, Log: c.Log, Now: c.Now})
	return s, err
}

// openCA opens the authority. Its name is the fleet's: only the first start has to find out, and everything that nodes
// are told depends on it, so it does not guess.
func (s *Stack) openCA(ctx context.Context) (err error) {
	dir := filepath.Join(s.Data, "ca")
	if s.Authority != nil {
		s.ca, err = identity.OpenExternal(dir, s.Fleet, *s.Authority, s.Now())
		return err
	}
	s.ca, err = identity.OpenCA(dir, s.Fleet, s.Now())
	if errors.Is(err, identity.ErrNoCA) {
		var name string
		if name, err = fleetName(ctx, s.Config); err != nil {
			return fault.WithHint(fmt.Errorf("finding out the name of the fleet: %w", err),
				"with --fleet NAME it comes up without the repository, and `vigo status` shows what is wrong with it")
		}
		s.ca, err = identity.OpenCA(dir, name, s.Now())
	}
	if err != nil {
		return err
	}
	s.Fleet = s.ca.Fleet()
	return nil
}

// fleetName reads the name in fleet.yaml.
func fleetName(ctx context.Context, c Config) (string, error) {
	git, err := gitsource.Open(gitsource.Options{URL: c.Git, Branch: c.Branch, Dir: filepath.Join(c.Data, gitDir)})
	if err != nil {
		return "", err
	}
	name, err := func() (string, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		commit, err := git.Fetch(ctx)
		if err != nil {
			return "", err
		}
		tree, err := git.Tree(commit)
		if err != nil {
			return "", err
		}
		fleet, err := policy.LoadFleet(tree)
		if err != nil {
			return "", err
		}
		return fleet.Name, nil
	}()
	return name, errors.Join(err, git.Close())
}

// openReports opens the report service on the store. It takes the trust root as bytes to hand on, and no keys.
func (s *Stack) openReports(ctx context.Context, root []byte, reference string) (err error) {
	if _, err := trust.ParseRoot(root); err != nil {
		return fault.WithHint(err, "the trust root is keys/root.json in the data folder of the controller")
	}
	var alerts *deliver.Service
	if s.Alerts != "" {
		if alerts, err = s.receivers().Open(); err != nil {
			return err
		}
	}
	s.reports, err = reporting.New(ctx, reporting.Config{DB: s.db, CA: s.ca, Fleet: s.Fleet, Channel: s.Channel, Interval: s.Interval,
		Registry: []string{reference}, TrustRoot: root, Schema: s.Language.Schema, Log: s.Log, Now: s.Now,
		Anchor: filepath.Join(s.Data, "audit.checkpoint"), Keep: s.Keep, RetireAfter: s.RetireAfter, OIDC: s.OIDC, Joined: s.joined, Approve: s.Approve, Alerts: alerts, Examine: s.Examine})
	return err
}

// joined has the controller, where it runs here, seal to a node that has just joined what it may have.
func (s *Stack) joined() {
	if s.publish != nil {
		s.publish.SealSoon()
	}
}

// receivers is the file that says who is told of alerts.
func (s *Stack) receivers() deliver.Watch {
	return deliver.Watch{Path: s.Alerts, KeyFile: filepath.Join(s.Data, "alerts.key"), Fleet: s.Fleet, Version: s.Version, Again: s.Reload}
}

// reference is where nodes pull from. The embedded registry is where they found the service, by whatever address.
func (s *Stack) reference() string {
	switch {
	case s.Registry == "":
		return "/" + Repository
	case s.PlainHTTP:
		return "http://" + s.Registry
	}
	return s.Registry
}

// openRegistry opens the embedded registry, or the one that was named.
func (s *Stack) openRegistry(ctx context.Context) (bundle.Store, error) {
	if s.Registry != "" {
		return ocistore.Open(ctx, s.Registry, ocistore.Options{PlainHTTP: s.PlainHTTP, Username: s.Username, Password: s.Password, Access: s.Access})
	}
	if err := s.openEmbedded(); err != nil {
		return nil, err
	}
	return s.registry.Store(ctx, Repository)
}

// Local is the host:port to connect to from this machine.
func (s *Stack) Local() string {
	host, port, err := net.SplitHostPort(s.Addr.String())
	if err != nil {
		return s.Addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// Run answers and publishes until ctx ends or something fails.
func (s *Stack) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	server := s.ca.NewServer(s.serverNames(), s.Now)
	mux := http.NewServeMux()
	mux.Handle("/", s.reports.Handler())
	board, err := s.dashboard()
	if err != nil {
		return err
	}
	mux.Handle("/ui/", board.Handler())
	mux.Handle("GET /{$}", http.RedirectHandler("/ui/", http.StatusSeeOther))
	group.Go(func() error { board.Run(ctx); return nil })
	if s.registry != nil {
		mux.Handle("/v2/", s.registry)
		mux.Handle("GET /registry/metrics", s.registry.MetricsHandler())
	}
	if s.publish != nil {
		ctl := s.publish.Handler()
		mux.Handle("/hooks/", ctl)
		// Not the status: it quotes the policy, and who may read that has an operator token.
		for _, path := range []string{"/controller/metrics", "/controller/healthz"} {
			mux.Handle(path, http.StripPrefix("/controller", ctl))
		}
		group.Go(func() error { return s.publish.Run(ctx) })
		group.Go(func() error { s.teller.Run(ctx, s.reports, s.publish.Status, s.Log); return nil })
	}
	group.Go(func() error { return s.reports.Run(ctx) })
	if s.Alerts != "" {
		group.Go(func() error { s.receivers().Run(ctx, s.reports.UseReceivers, s.reports.RefuseReceivers); return nil })
	}
	group.Go(func() error {
		return Serve(ctx, s.listener, mux, server.TLS(), slog.New(s.reports.Handshakes(s.Log.Handler())))
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// serverNames are the names the server certificate is good for.
func (s *Stack) serverNames() []string {
	names := append([]string{"localhost", "127.0.0.1", "::1"}, s.Names...)
	for _, address := range []string{s.Advertise, s.Addr.String()} {
		if host, _, err := net.SplitHostPort(address); err == nil && host != "" && !strings.HasPrefix(host, "::") && host != "0.0.0.0" {
			names = append(names, host)
		}
	}
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	return names
}

// Close closes everything; Run must have returned.
func (s *Stack) Close() error {
	var errs []error
	if s.listener != nil {
		if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.publish != nil {
		errs = append(errs, s.publish.Close())
	}
	if s.registry != nil {
		errs = append(errs, s.registry.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Release())
	}
	return errors.Join(errs...)
}
