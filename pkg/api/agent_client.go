package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
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
	URL     string // https://host:port
	Node    string
	Roots   *x509.CertPool // the fleet's authority
	Key     identity.NodeKey
	Counter Counter
	// Certificate returns the client certificate to show now; it is asked at every new connection, so a renewed one is
	// used without a restart. One that has expired is not shown: the signature proves the node to Renew.
	Certificate func() (*tls.Certificate, error)
	Now         func() time.Time
	Timeout     time.Duration // of one request; 0: 30 s
}

// An AgentClient talks to the report service as one node. It is safe for concurrent use and is a report.Sink.
type AgentClient struct {
	wire *wire
	o    AgentOptions
}

var _ report.Sink = (*AgentClient)(nil)

// NewAgentClient makes the client of an enrolled node; nothing is sent yet.
func NewAgentClient(o AgentOptions) (*AgentClient, error) {
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
	w, err := newWire(o.URL, conf, o.Timeout)
	if err != nil {
		return nil, err
	}
	return &AgentClient{wire: w, o: o}, nil
}

// Enroll gets an identity with a token. The server is known by the fingerprint in the token; nothing is trusted on first
// use. It may be repeated with the same key when an answer was lost.
func Enroll(ctx context.Context, url, token, node, agent string, key identity.NodeKey, now func() time.Time) (EnrollAnswer, error) {
	secret, err := identity.ParseSecret(token)
	if err != nil {
		return EnrollAnswer{}, fmt.Errorf("reading the token: %w", err)
	}
	if secret.Operator {
		return EnrollAnswer{}, fault.WithHint(fmt.Errorf("reading the token: it is an operator's: %w", identity.ErrToken), "`vigo token create` makes one for enrolment")
	}
	csr, err := key.CSR(node)
	if err != nil {
		return EnrollAnswer{}, err
	}
	w, err := newWire(url, identity.PinTLS(secret.Fingerprint, now, nil), 0)
	if err != nil {
		return EnrollAnswer{}, err
	}
	defer w.client.CloseIdleConnections()
	var answer EnrollAnswer
	req := EnrollRequest{Token: secret.Text(), Node: node, CSR: string(csr), Agent: agent}
	if err := w.do(ctx, http.MethodPost, "/v1/enroll", req, &answer, nil); err != nil {
		return EnrollAnswer{}, fmt.Errorf("enrolling %s: %w", node, err)
	}
	if answer.Node != node {
		return EnrollAnswer{}, fmt.Errorf("enrolling %s: the service answered for %q", node, answer.Node)
	}
	if got, err := identity.FingerprintPEM([]byte(answer.CA)); err != nil || got != secret.Fingerprint {
		return EnrollAnswer{}, fmt.Errorf("enrolling %s: the authority in the answer is not that of the token: %w", node, errors.Join(err, identity.ErrPin))
	}
	if _, err := key.Certificate([]byte(answer.Certificate)); err != nil {
		return EnrollAnswer{}, fmt.Errorf("enrolling %s: %w", node, err)
	}
	for i, ref := range answer.Registry {
		if strings.HasPrefix(ref, "/") {
			answer.Registry[i] = w.origin() + ref
		}
	}
	return answer, nil
}

// post sends a signed request.
func (c *AgentClient) post(ctx context.Context, path string, in, out any) error {
	return c.wire.do(ctx, http.MethodPost, path, in, out, func(req *http.Request, body []byte) error {
		n, err := c.o.Counter.Next()
		if err != nil {
			return err
		}
		return identity.Sign(req, body, c.o.Key.Signer(), identity.Stamp{KeyID: c.o.Node, Counter: n, Created: c.o.Now()})
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
	if _, err := c.o.Key.Certificate([]byte(answer.Certificate)); err != nil {
		return nil, fmt.Errorf("renewing the certificate: %w", err)
	}
	c.Close() // the next connection shows the new one
	return []byte(answer.Certificate), nil
}

// CheckIn says how the node is.
func (c *AgentClient) CheckIn(ctx context.Context, in report.CheckIn) (report.Answer, error) {
	var answer report.Answer
	err := c.post(ctx, "/v1/checkin", in, &answer)
	return answer, err
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

// Close ends idle connections. The client can be used again.
func (c *AgentClient) Close() { c.wire.client.CloseIdleConnections() }
