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

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/ocistore/registry"
	"vigo.dev/pkg/reporting"
	"vigo.dev/pkg/sqlstore"
)

// Repository is the name of the bundles' repository in the embedded registry.
const Repository = "vigo/bundles"

// Config says what to put up.
type Config struct {
	Data       string
	Fleet      string // name for the authority; from fleet.yaml once that was read
	Listen     string
	Advertise  string   // host:port that nodes reach; Listen if empty
	Names      []string // further names and addresses for the server certificate
	Git        string   // empty: no controller
	Branch     string
	Registry   string // registry and repository to use instead of the embedded one
	PlainHTTP  bool   // reach Registry without TLS
	Username   string // for Registry
	Password   string
	Channel    string // of nodes whose token names none
	Interval   time.Duration
	Poll       time.Duration
	PointerTTL time.Duration
	HookToken  string
	Language   catalog.Language
	Log        *slog.Logger
	Now        func() time.Time
}

// A Stack is everything that is up.
type Stack struct {
	Config
	Token string // of the operator on this machine; only after the first start
	Addr  net.Addr

	ca       *identity.CA
	db       *sqlstore.DB
	reports  *reporting.Service
	registry *registry.Registry
	publish  *Publisher
	teller   *Teller
	listener net.Listener
}

// Open opens everything below one data folder and listens, so that who knows the address can connect; nothing is answered
// before Run. The caller closes it.
func Open(ctx context.Context, c Config) (s *Stack, err error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("opening the data folder: %w", err)
	}
	s = &Stack{Config: c, teller: NewTeller()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.listener, err = net.Listen("tcp", c.Listen); err != nil {
		return s, fmt.Errorf("listening: %w", err)
	}
	s.Addr = s.listener.Addr()
	if s.Advertise == "" {
		s.Advertise = s.Addr.String()
	}
	if s.ca, err = identity.OpenCA(filepath.Join(c.Data, "ca"), c.Fleet, c.Now()); err != nil {
		return s, err
	}
	keys, err := controller.OpenKeyring(filepath.Join(c.Data, "keys"), c.Now)
	if err != nil {
		return s, err
	}
	store, reference, err := s.openRegistry(ctx)
	if err != nil {
		return s, err
	}
	if s.db, err = sqlstore.Open(ctx, filepath.Join(c.Data, "report.db"), sqlstore.Options{}); err != nil {
		return s, err
	}
	if s.reports, err = reporting.New(ctx, reporting.Config{DB: s.db, CA: s.ca, Fleet: c.Fleet, Channel: c.Channel, Interval: c.Interval,
		Registry: []string{reference}, TrustRoot: keys.Root(), Schema: c.Language.Schema, Log: c.Log, Now: c.Now}); err != nil {
		return s, err
	}
	if c.Git == "" {
		return s, nil
	}
	s.publish, err = NewPublisher(PublisherConfig{Data: c.Data, Keys: keys, Git: c.Git, Branch: c.Branch, Store: store, Language: c.Language,
		Poll: c.Poll, PointerTTL: c.PointerTTL, HookToken: c.HookToken, Listener: s.teller, Log: c.Log, Now: c.Now})
	return s, err
}

// openRegistry opens the embedded registry, or the one that was named, and returns the reference for nodes.
func (s *Stack) openRegistry(ctx context.Context) (bundle.Store, string, error) {
	if s.Registry != "" {
		store, err := ocistore.Open(ctx, s.Registry, ocistore.Options{PlainHTTP: s.PlainHTTP, Username: s.Username, Password: s.Password})
		reference := s.Registry
		if s.PlainHTTP {
			reference = "http://" + reference
		}
		return store, reference, err
	}
	var err error
	if s.registry, err = registry.New(registry.Options{Dir: filepath.Join(s.Data, "registry"), Log: s.Log}); err != nil {
		return nil, "", err
	}
	store, err := s.registry.Store(ctx, Repository)
	return store, "https://" + s.Advertise + "/" + Repository, err
}

// Operator makes a new token for an operator of this name; the old one no longer works.
func (s *Stack) Operator(ctx context.Context, name string) (string, error) {
	return s.reports.AddOperator(ctx, name, identity.RoleOperator)
}

// Run answers and publishes until ctx ends or something fails.
func (s *Stack) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	server := s.ca.NewServer(s.serverNames(), s.Now)
	mux := http.NewServeMux()
	mux.Handle("/", s.reports.Handler())
	if s.registry != nil {
		mux.Handle("/v2/", s.registry)
	}
	if s.publish != nil {
		ctl := s.publish.Handler()
		mux.Handle("/hooks/", ctl)
		mux.Handle("/controller/", http.StripPrefix("/controller", ctl))
		group.Go(func() error { return s.publish.Run(ctx) })
		group.Go(func() error { s.teller.Run(ctx, s.reports, s.Log); return nil })
	}
	group.Go(func() error { return s.reports.Run(ctx) })
	group.Go(func() error { return Serve(ctx, s.listener, mux, server.TLS()) })
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
	return errors.Join(errs...)
}
