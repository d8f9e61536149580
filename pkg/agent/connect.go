package agent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trust"
)

// ConnectOptions says how to put an enrolled node's connections together.
type ConnectOptions struct {
	Access ocistore.Access // to registries
	Log    *slog.Logger
	Now    func() time.Time
}

// Parts are the connections and documents of an enrolled node.
type Parts struct {
	Enrolment Enrolment
	Root      trust.Root
	Origin    *ocistore.Cache
	Service   Service
	Leaser    Leaser
	Key       identity.NodeKey
}

// Connect reads who this node is and opens, without sending anything, what it talks to: the report service, and the
// registries behind the cache on disk.
func Connect(ctx context.Context, s State, o ConnectOptions) (Parts, error) {
	clock := identity.NewClock(o.Now)
	o.Now = clock.Now
	e, err := s.LoadEnrolment()
	if err != nil {
		return Parts{}, err
	}
	root, err := s.LoadRoot()
	if err != nil {
		return Parts{}, err
	}
	cred, err := loadCredentials(s, o.Now)
	if err != nil {
		return Parts{}, err
	}
	if cred.Damaged != nil {
		o.Log.Warn("asking for a new certificate", "err", cred.Damaged)
	}
	count, err := identity.OpenNumbers(s.Path(counterFile), o.Now)
	if err != nil {
		o.Log.Warn("numbering requests by the clock", "err", err)
	}
	client, err := api.NewAgentClient(api.AgentOptions{URL: e.Server, Others: e.Servers, Node: e.Node, Roots: cred.Roots, Key: cred.Key,
		Counter: count, Certificate: cred.Certificate, Now: o.Now, Clock: clock, WrongClock: func(behind time.Duration) {
			o.Log.Warn("the clock of this node is wrong: it says so of requests by that of the service", "behind", behind.Round(time.Second))
		}})
	if err != nil {
		return Parts{}, err
	}
	authority, err := os.ReadFile(s.Path(caFile))
	if err != nil {
		return Parts{}, fmt.Errorf("reading the authority of the fleet: %w", err)
	}
	origin, err := openOrigin(ctx, s, e, cred, o)
	if err != nil {
		return Parts{}, err
	}
	return Parts{Enrolment: e, Root: root, Origin: origin, Service: &service{client, cred, o.Log}, Leaser: api.RebootClient{AgentClient: client, CA: authority}, Key: cred.Key}, nil
}

// openOrigin puts the cache in front of the registries, in order: the mirrors of this node, then what the fleet has told it.
func openOrigin(ctx context.Context, s State, e Enrolment, cred *identity.Credentials, o ConnectOptions) (*ocistore.Cache, error) {
	sources, err := ocistore.OpenFleet(ctx, slices.Concat(e.Mirrors, e.Registry), cred, o.Access, o.Now)
	if err != nil {
		return nil, err
	}
	return ocistore.Cached(ocistore.Ordered(sources...), s.Path(cacheDir), o.Now)
}

// service is the report service, over a certificate that is renewed in time.
type service struct {
	*api.AgentClient
	cred *identity.Credentials
	log  *slog.Logger
}

var _ report.Sink = (*service)(nil)

// CheckIn implements Service.
func (s *service) CheckIn(ctx context.Context, c report.CheckIn) (report.Answer, error) {
	if err := s.cred.Renew(ctx, s.AgentClient); err != nil {
		if !s.cred.Usable() {
			return report.Answer{}, err
		}
		s.log.Warn("going on with the certificate there is", "err", err)
	}
	return s.AgentClient.CheckIn(ctx, c)
}
