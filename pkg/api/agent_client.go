package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// A Counter gives the numbers of signed requests. They must rise for ever, also over crashes of the node.
type Counter interface{ Next() (int64, error) }

// AgentOptions is what the client of a node is made of.
type AgentOptions struct {
	URL     string   // https://host:port
	Others  []string // further addresses, asked in order while URL does not answer
	Node    string
	Roots   *x509.CertPool // the fleet's authority
	Key     identity.NodeKey
	Counter Counter
	// Certificate returns the client certificate to show now; it is asked at every new connection, so a renewed one is
	// used without a restart. One that has expired is not shown: the signature proves the node to Renew.
	Certificate func() (*tls.Certificate, error)
	Now         func() time.Time
	// Clock is put right by what the service shows and says; nil: Now, put right for this client alone.
	Clock *identity.Clock
	// WrongClock is told when the service finds that the clock of the node is behind by a time, or ahead if that is negative; optional.
	WrongClock func(behind time.Duration)
	Timeout    time.Duration // of one request; 0: 30 s
	// Dial makes the connections, in place of a usual dialer; nil: that.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// An AgentClient talks to the report service as one node. It is safe for concurrent use and is a report.Sink.
type AgentClient struct {
	wire    *wire
	o       AgentOptions
	batches batches // of check-ins that are relayed
}

var _ report.Sink = (*AgentClient)(nil)

// NewAgentClient makes the client of an enrolled node; nothing is sent yet.
func NewAgentClient(o AgentOptions) (*AgentClient, error) {
	if o.Clock == nil {
		o.Clock = identity.NewClock(o.Now)
	}
	o.Now = o.Clock.Now
	conf := &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: o.Roots, ServerName: identity.ServerName, Time: o.Now,
		NextProtos: []string{"http/1.1"}, ClientSessionCache: tls.NewLRUClientSessionCache(2),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert, err := o.Certificate()
			if err != nil {
				return nil, err
			}
			if cert.Leaf == nil || identity.Expired(cert.Leaf, o.Now()) {
				return &tls.Certificate{}, nil
			}
			return cert, nil
		},
	}
	w, err := newWire(append([]string{o.URL}, o.Others...), conf, o.Timeout, o.Now)
	if err != nil {
		return nil, err
	}
	if t, ok := w.client.Transport.(*http.Transport); ok && o.Dial != nil {
		t.DialContext = o.Dial
	}
	c := &AgentClient{wire: w, o: o}
	c.batches.deliver = c.relayAll
	return c, nil
}

// An Enrolling is who asks for an identity, where and with what.
type Enrolling struct {
	URL   string // https://host:port of the service or of a hub
	Token string
	Node  string
	Agent string // version
	Hub   bool   // the token is one for hubs, and a hub asks
	Key   identity.NodeKey
	Now   func() time.Time
}

// Enroll gets an identity with a token. The server is known by the fingerprint in the token; nothing is trusted on first
// use. It may be repeated with the same key when an answer was lost.
func (e Enrolling) Enroll(ctx context.Context) (EnrollAnswer, error) {
	node := e.Node
	secret, err := identity.ParseSecret(e.Token)
	if err != nil {
		return EnrollAnswer{}, fmt.Errorf("reading the token: %w", err)
	}
	if secret.Operator {
		return EnrollAnswer{}, fault.WithHint(fmt.Errorf("reading the token: it is an operator's: %w", identity.ErrToken), "`vigo token create` makes one for enrolment")
	}
	csr, err := e.Key.CSR(node)
	if err != nil {
		return EnrollAnswer{}, err
	}
	w, err := newWire([]string{e.URL}, identity.PinTLS(secret.Fingerprint, e.Now, nil), 0, e.Now)
	if err != nil {
		return EnrollAnswer{}, err
	}
	defer w.client.CloseIdleConnections()
	var answer EnrollAnswer
	req := EnrollRequest{Token: secret.Text(), Node: node, CSR: string(csr), Agent: e.Agent, Hub: e.Hub}
	if err := w.do(ctx, http.MethodPost, "/v1/enroll", req, &answer, nil); err != nil {
		return EnrollAnswer{}, fmt.Errorf("enrolling %s: %w", node, err)
	}
	if answer.Node != node {
		return EnrollAnswer{}, fmt.Errorf("enrolling %s: the service answered for %q", node, answer.Node)
	}
	if got, err := identity.FingerprintPEM([]byte(answer.CA)); err != nil || got != secret.Fingerprint {
		return EnrollAnswer{}, fmt.Errorf("enrolling %s: the authority in the answer is not that of the token: %w", node, errors.Join(err, identity.ErrPin))
	}
	if err := answer.checkSeal(); err != nil {
		return EnrollAnswer{}, fmt.Errorf("enrolling %s: %w", node, err)
	}
	if _, err := e.Key.Certificate([]byte(answer.Certificate)); err != nil {
		return EnrollAnswer{}, fmt.Errorf("enrolling %s: %w", node, err)
	}
	for i, ref := range answer.Registry {
		if strings.HasPrefix(ref, "/") {
			answer.Registry[i] = w.origin() + ref
		}
	}
	for _, server := range answer.Servers {
		if _, err := serverBase(server); err != nil {
			return EnrollAnswer{}, fmt.Errorf("enrolling %s: %w", node, err)
		}
	}
	return answer, nil
}

// post sends a signed request, again when the clock of the node turned out to be wrong.
func (c *AgentClient) post(ctx context.Context, path string, in, out any) error {
	err := c.sign(ctx, path, in, out)
	for range 2 { // the certificate of the server first, then the stamp
		if ctx.Err() != nil || !c.rightens(err) {
			break
		}
		err = c.sign(ctx, path, in, out)
	}
	return err
}

// rightens puts the clock right by what an error says of it, if it does.
func (c *AgentClient) rightens(err error) bool {
	if refusal, ok := errors.AsType[*Error](err); ok && errors.Is(refusal, ErrSkew) && !refusal.Date.IsZero() {
		if behind := c.o.Clock.Told(refusal.Date); c.o.WrongClock != nil {
			c.o.WrongClock(behind)
		}
		return true
	}
	shown, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok && c.o.Clock.Shown(c.o.Roots, shown.UnverifiedCertificates)
}

func (c *AgentClient) sign(ctx context.Context, path string, in, out any) error {
	return c.wire.do(ctx, http.MethodPost, path, in, out, func(req *http.Request, body []byte) error {
		n, err := c.o.Counter.Next()
		if err != nil {
			return err
		}
		return identity.Sign(req, body, c.o.Key.Signer(), identity.Stamp{KeyID: c.o.Node, Counter: n, Created: c.o.Clock.Stamp()})
	})
}

// Renew gets a new certificate for the key of the node, as a PEM chain. It works also when the old one has expired.
func (c *AgentClient) Renew(ctx context.Context) ([]byte, error) {
	csr, err := c.o.Key.CSR(c.o.Node)
	if err != nil {
		return nil, err
	}
	var answer RenewAnswer
	if err := c.post(ctx, "/v1/renew", RenewRequest{CSR: string(csr)}, &answer); err != nil {
		return nil, fmt.Errorf("renewing the certificate: %w", err)
	}
	cert, err := c.o.Key.Certificate([]byte(answer.Certificate))
	if err == nil { // a hub between could hand on one that nobody accepts, for ever
		_, err = cert.Leaf.Verify(x509.VerifyOptions{Roots: c.o.Roots, CurrentTime: c.o.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	}
	if err != nil {
		return nil, fmt.Errorf("renewing the certificate: %w", err)
	}
	c.Close() // the next connection shows the new one
	return []byte(answer.Certificate), nil
}

// CheckIn says how the node is. Labels in an answer that came through a hub are left out: they decide what a node is for,
// and the hub could have made them up.
func (c *AgentClient) CheckIn(ctx context.Context, in report.CheckIn) (report.Answer, error) {
	var answer struct {
		report.Answer
		origin
	}
	err := c.post(ctx, "/v1/checkin", in, &answer)
	if answer.hub {
		answer.Labels = nil
	}
	return answer.Answer, err
}

// Put implements report.Sink: when it returns nil, the service has the run on disk.
func (c *AgentClient) Put(ctx context.Context, r report.Run) error {
	return c.PutRuns(ctx, []report.Run{r})
}

// PutRuns delivers at most [MaxRuns] runs; when it returns nil, the service has them on disk.
func (c *AgentClient) PutRuns(ctx context.Context, runs []report.Run) error {
	if err := c.post(ctx, "/v1/runs", RunsRequest{Runs: runs}, nil); err != nil {
		return fmt.Errorf("delivering runs: %w", err)
	}
	return nil
}

// PutFacets delivers trait documents.
func (c *AgentClient) PutFacets(ctx context.Context, f report.Facets) error {
	if err := c.post(ctx, "/v1/facets", f, nil); err != nil {
		return fmt.Errorf("delivering traits: %w", err)
	}
	return nil
}

// Addresses are the servers that are asked, in order.
func (c *AgentClient) Addresses() []string { return slices.Clone(c.wire.bases) }

// Close ends idle connections. The client can be used again.
func (c *AgentClient) Close() { c.wire.client.CloseIdleConnections() }
