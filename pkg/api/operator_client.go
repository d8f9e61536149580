package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// An OperatorClient talks to the report service as a person or a program with an operator token or a client certificate. It is safe for
// concurrent use. Errors are [*Error] when the service refused, and wrap [ErrUnreachable] when it was not reached.
type OperatorClient struct {
	wire        *wire
	token       string // "": a client certificate is shown
	fingerprint string // of the authority
}

// ServiceTLS reaches the report service itself, of a pinned authority: what people send it is not for hubs to see.
func ServiceTLS(fingerprint string, now func() time.Time) *tls.Config {
	conf := identity.PinTLS(fingerprint, now, nil)
	pinned := conf.VerifyConnection
	conf.VerifyConnection = func(cs tls.ConnectionState) error {
		if err := pinned(cs); err != nil {
			return err
		}
		if identity.OfHub(cs.PeerCertificates[0]) {
			return fault.WithHint(fmt.Errorf("a hub answers: %w", identity.ErrPin), "operators talk to the report service itself: no hub is to see their token")
		}
		return nil
	}
	return conf
}

// NewOperatorClient makes a client; nothing is sent yet. The server is known by the fingerprint in the token.
func NewOperatorClient(rawURL, token string, now func() time.Time) (*OperatorClient, error) {
	secret, err := identity.ParseSecret(token)
	if err == nil && !secret.Operator {
		err = fault.WithHint(identity.ErrToken, "this is an enrolment token; an operator token begins with vigoop_")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the operator token: %w", err)
	}
	w, err := newWire([]string{rawURL}, ServiceTLS(secret.Fingerprint, now), 0, now)
	if err != nil {
		return nil, err
	}
	return &OperatorClient{wire: w, token: secret.Text(), fingerprint: secret.Fingerprint}, nil
}

// NewCertificateClient makes a client that shows a certificate of an operator in place of a token. The server is known by the
// fingerprint of the authority.
func NewCertificateClient(rawURL string, cert tls.Certificate, fingerprint string, now func() time.Time) (*OperatorClient, error) {
	conf := ServiceTLS(fingerprint, now)
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	w, err := newWire([]string{rawURL}, conf, 0, now)
	if err != nil {
		return nil, err
	}
	return &OperatorClient{wire: w, fingerprint: fingerprint}, nil
}

// do asks once more when a question that changes nothing was cut off: of several services behind one address, one may have just ended.
func (c *OperatorClient) do(ctx context.Context, method, path string, in, out any) error {
	err := c.once(ctx, method, path, in, out)
	if method == http.MethodGet && cutOff(err) && ctx.Err() == nil {
		return c.once(ctx, method, path, in, out)
	}
	return err
}

func (c *OperatorClient) once(ctx context.Context, method, path string, in, out any) error {
	return c.wire.do(ctx, method, path, in, out, func(req *http.Request, _ []byte) error {
		if c.token != "" {
			req.Header.Set("Authorization", "Bearer "+c.token)
		}
		return nil
	})
}

// Status returns the state of the fleet with at most problems problems.
func (c *OperatorClient) Status(ctx context.Context, problems int) (report.Status, error) {
	var s report.Status
	err := c.do(ctx, http.MethodGet, "/v1/status?problems="+strconv.Itoa(problems), nil, &s)
	return s, err
}

// Nodes lists the nodes that match, sorted by name.
func (c *OperatorClient) Nodes(ctx context.Context, q report.Query) ([]report.NodeStatus, error) {
	var nodes []report.NodeStatus
	err := c.do(ctx, http.MethodGet, "/v1/nodes?"+values(q).Encode(), nil, &nodes)
	return nodes, err
}

// Node returns all about one node; [ErrNotFound].
func (c *OperatorClient) Node(ctx context.Context, name string) (report.NodeDetail, error) {
	var n report.NodeDetail
	err := c.do(ctx, http.MethodGet, "/v1/nodes/"+url.PathEscape(name), nil, &n)
	return n, err
}

// Traits returns the traits of the nodes that match and for which the condition where (may be "") holds.
func (c *OperatorClient) Traits(ctx context.Context, q report.Query, where string) ([]report.Traits, error) {
	v := values(q)
	if where != "" {
		v.Set("where", where)
	}
	var traits []report.Traits
	err := c.do(ctx, http.MethodGet, "/v1/traits?"+v.Encode(), nil, &traits)
	return traits, err
}

// Events returns what happened, newest first.
func (c *OperatorClient) Events(ctx context.Context, limit int) ([]report.Event, error) {
	var events []report.Event
	err := c.do(ctx, http.MethodGet, "/v1/events?limit="+strconv.Itoa(limit), nil, &events)
	return events, err
}

// CreateToken makes an enrolment token; its text is seen only here.
func (c *OperatorClient) CreateToken(ctx context.Context, r TokenRequest) (TokenAnswer, error) {
	var answer TokenAnswer
	err := c.do(ctx, http.MethodPost, "/v1/tokens", r, &answer)
	return answer, err
}

// ListTokens lists the enrolment tokens, newest first, without their secrets.
func (c *OperatorClient) ListTokens(ctx context.Context) ([]identity.Grant, error) {
	var grants []identity.Grant
	err := c.do(ctx, http.MethodGet, "/v1/tokens", nil, &grants)
	return grants, err
}

// RevokeToken makes a token useless; nodes that enrolled with it stay. [ErrNotFound].
func (c *OperatorClient) RevokeToken(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/v1/tokens/"+url.PathEscape(id), nil, nil)
}

// Retire ends the identity of a node at once; [ErrNotFound].
func (c *OperatorClient) Retire(ctx context.Context, node string) error {
	return c.do(ctx, http.MethodDelete, "/v1/nodes/"+url.PathEscape(node), nil, nil)
}

// PutChannels tells all that a controller published, or why it could not.
func (c *OperatorClient) PutChannels(ctx context.Context, notes []report.ChannelNote) error {
	return c.do(ctx, http.MethodPut, "/v1/channels", ChannelsRequest{Channels: notes}, nil)
}

// Recipients lists the nodes that secrets may be sealed to, sorted by name.
func (c *OperatorClient) Recipients(ctx context.Context) ([]report.Recipient, error) {
	var list []report.Recipient
	err := c.do(ctx, http.MethodGet, "/v1/recipients", nil, &list)
	return list, err
}

// PutGrants tells all labels that policies give to nodes. A service that is too old to know of them goes without.
func (c *OperatorClient) PutGrants(ctx context.Context, told []report.Grants) error {
	err := c.do(ctx, http.MethodPut, "/v1/grants", GrantsRequest{told}, nil)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// AddOperator makes an operator, or gives one a new token and role, and returns the token; its text is seen only here.
func (c *OperatorClient) AddOperator(ctx context.Context, o Operator) (string, error) {
	var answer OperatorAnswer
	err := c.do(ctx, http.MethodPut, "/v1/operators/"+url.PathEscape(o.Name), OperatorRequest{Role: o.Role}, &answer)
	return answer.Token, err
}

// ListOperators lists the operators, sorted by name.
func (c *OperatorClient) ListOperators(ctx context.Context) ([]Operator, error) {
	var list []Operator
	err := c.do(ctx, http.MethodGet, "/v1/operators", nil, &list)
	return list, err
}

// RemoveOperator makes the token of an operator useless at once; [ErrNotFound].
func (c *OperatorClient) RemoveOperator(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, "/v1/operators/"+url.PathEscape(name), nil, nil)
}

// Close ends idle connections. The client can be used again.
func (c *OperatorClient) Close() { c.wire.client.CloseIdleConnections() }

func values(q report.Query) url.Values {
	v := url.Values{}
	for key, value := range map[string]string{
		"presence": string(q.Presence), "compliance": string(q.Compliance), "digest": string(q.Digest), "channel": q.Channel, "name": q.Name,
	} {
		if value != "" {
			v.Set(key, value)
		}
	}
	for key, value := range q.Labels {
		v.Add("label", key+"="+value)
	}
	return v
}

// Metrics returns what the service says of itself in the text format of Prometheus.
func (c *OperatorClient) Metrics(ctx context.Context) ([]byte, error) {
	said, err := c.wire.send(ctx, http.MethodGet, "/metrics", nil, nil, reachedNobody)
	if err != nil {
		return nil, err
	}
	if said.status != http.StatusOK {
		return nil, fmt.Errorf("reading the metrics of the service: it answered %s", said.line)
	}
	return said.data, nil
}
