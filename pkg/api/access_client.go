package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Whoami returns who the holder of the token is to the service.
func (c *OperatorClient) Whoami(ctx context.Context) (Whoami, error) {
	var w Whoami
	err := c.do(ctx, http.MethodGet, "/v1/whoami", nil, &w)
	return w, err
}

// AccessTokens lists the tokens of who asks, for an admin those of all operators.
func (c *OperatorClient) AccessTokens(ctx context.Context) ([]AccessToken, error) {
	var list []AccessToken
	err := c.do(ctx, http.MethodGet, "/v1/access", nil, &list)
	return list, err
}

// CreateAccess makes a further token of an operator; its text is seen only here.
func (c *OperatorClient) CreateAccess(ctx context.Context, r AccessRequest) (AccessAnswer, error) {
	var answer AccessAnswer
	err := c.do(ctx, http.MethodPost, "/v1/access", r, &answer)
	return answer, err
}

// RevokeAccess makes a further token, or a login, useless at once; [ErrNotFound].
func (c *OperatorClient) RevokeAccess(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/v1/access/"+url.PathEscape(id), nil, nil)
}

// IssueCertificate asks for a client certificate of an operator.
func (c *OperatorClient) IssueCertificate(ctx context.Context, r CertificateRequest) (CertificateAnswer, error) {
	var answer CertificateAnswer
	err := c.do(ctx, http.MethodPost, "/v1/certificates", r, &answer)
	return answer, err
}

// RenewCertificate asks for a new certificate for the key of the one that is shown.
func (c *OperatorClient) RenewCertificate(ctx context.Context, csr string) (CertificateAnswer, error) {
	var answer CertificateAnswer
	err := c.do(ctx, http.MethodPost, "/v1/certificates/renew", RenewRequest{CSR: csr}, &answer)
	return answer, err
}

// A Visitor talks to a report service before it has a token. The service is known by the fingerprint of the fleet's
// authority.
type Visitor struct{ wire *wire }

// NewVisitor makes a client; nothing is sent yet.
func NewVisitor(rawURL, fingerprint string, now func() time.Time) (*Visitor, error) {
	w, err := newWire([]string{rawURL}, ServiceTLS(fingerprint, now), 0, now)
	if err != nil {
		return nil, err
	}
	return &Visitor{wire: w}, nil
}

// LoginOffer returns through which identity provider people log in; [ErrNotFound] when there is none.
func (v *Visitor) LoginOffer(ctx context.Context) (LoginOffer, error) {
	var o LoginOffer
	err := v.wire.do(ctx, http.MethodGet, "/v1/login", nil, &o, nil)
	return o, err
}

// Login exchanges an ID token of the identity provider for a token of the service.
func (v *Visitor) Login(ctx context.Context, idToken string) (AccessAnswer, error) {
	var a AccessAnswer
	err := v.wire.do(ctx, http.MethodPost, "/v1/login", LoginRequest{IDToken: idToken}, &a, nil)
	return a, err
}

// Close ends idle connections.
func (v *Visitor) Close() { v.wire.client.CloseIdleConnections() }
