package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/bundle"
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
}

// Connect reads who this node is and opens, without sending anything, what it talks to: the report service, and the
// registries behind the cache on disk.
func Connect(ctx context.Context, s State, o ConnectOptions) (Parts, error) {
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
	if cred.damaged != nil {
		o.Log.Warn("asking for a new certificate", "err", cred.damaged)
	}
	count, err := openCounter(s, o.Now)
	if err != nil {
		o.Log.Warn("numbering requests by the clock", "err", err)
	}
	client, err := api.NewAgentClient(api.AgentOptions{URL: e.Server, Node: e.Node, Roots: cred.roots, Key: cred.key,
		Counter: count, Certificate: cred.Certificate, Now: o.Now})
	if err != nil {
		return Parts{}, err
	}
	origin, err := openOrigin(ctx, s, e, cred, o)
	if err != nil {
		return Parts{}, err
	}
	return Parts{Enrolment: e, Root: root, Origin: origin, Service: &service{client, cred, o.Log}}, nil
}

// openOrigin puts the cache in front of the registries, in order: the mirrors of this node, then what the fleet has told it.
func openOrigin(ctx context.Context, s State, e Enrolment, cred *credentials, o ConnectOptions) (*ocistore.Cache, error) {
	var sources []bundle.Source
	for _, ref := range slices.Concat(e.Mirrors, e.Registry) {
		src, err := openRegistry(ctx, ref, cred, o)
		if err != nil {
			return nil, err
		}
		sources = append(sources, src)
	}
	return ocistore.Cached(ocistore.Ordered(sources...), s.Path(cacheDir), o.Now)
}

// openRegistry opens one registry: HOST[:PORT]/REPOSITORY, with http:// in front for one without TLS.
func openRegistry(ctx context.Context, ref string, cred *credentials, o ConnectOptions) (bundle.Store, error) {
	ref, plain := strings.CutPrefix(ref, "http://")
	if plain {
		return ocistore.Open(ctx, ref, ocistore.Options{PlainHTTP: true, Access: o.Access})
	}
	ref = strings.TrimPrefix(ref, "https://")
	host, _, _ := strings.Cut(ref, "/")
	more, client, err := o.Access.Certificates(host)
	if err != nil {
		return nil, fmt.Errorf("opening the registry %s: %w", host, err)
	}
	return ocistore.Open(ctx, ref, ocistore.Options{CAs: cred.roots, Access: o.Access, Transport: transport(cred, more, client, o.Now)})
}

// transport reaches a registry. That of the fleet shows a certificate of the fleet's authority, whatever address it has, and
// is shown that of this node. Others are reached through the authorities of the system and those that are configured.
func transport(cred *credentials, more *x509.CertPool, client func() (*tls.Certificate, error), now func() time.Time) http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSHandshakeTimeout, t.ResponseHeaderTimeout = 10*time.Second, 20*time.Second
	t.DialContext = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second} // a line that is dead without a word
	t.TLSClientConfig = &tls.Config{
		MinVersion: tls.VersionTLS12, Time: now,
		InsecureSkipVerify: true, // VerifyConnection does it, against the fleet's authority first
		VerifyConnection: func(cs tls.ConnectionState) error {
			return verifyRegistry(cs, cred.roots, more, now())
		},
		GetClientCertificate: func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if client != nil {
				return client()
			}
			mine, err := cred.Certificate()
			// Only who names the authority of the fleet is told which node this is. A certificate that has run out would be refused,
			// where none at all may do.
			if err != nil || !cred.Usable() || len(asked.AcceptableCAs) == 0 || asked.SupportsCertificate(mine) != nil {
				return &tls.Certificate{}, err
			}
			return mine, nil
		},
	}
	return t
}

// verifyRegistry accepts a server of the fleet, and any server with a certificate for its name from an authority that
// the system trusts or that is configured for it.
func verifyRegistry(cs tls.ConnectionState, fleet, more *x509.CertPool, now time.Time) error {
	between := x509.NewCertPool()
	for _, cert := range cs.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	leaf := cs.PeerCertificates[0]
	_, fleetErr := leaf.Verify(x509.VerifyOptions{Roots: fleet, Intermediates: between, DNSName: identity.ServerName, CurrentTime: now})
	if fleetErr == nil {
		return nil
	}
	if more != nil {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: more, Intermediates: between, DNSName: cs.ServerName, CurrentTime: now}); err == nil {
			return nil
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Intermediates: between, DNSName: cs.ServerName, CurrentTime: now}); err != nil {
		return fmt.Errorf("the registry shows neither a certificate of the fleet (%w) nor one the system trusts (%w)", fleetErr, err)
	}
	return nil
}

// service is the report service, over a certificate that is renewed in time.
type service struct {
	*api.AgentClient
	cred *credentials
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
