package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"time"

	"vigo.dev/pkg/identity"
)

// Reach asks whether a report service, or a hub, of the fleet whose authorities are given answers at a URL. Nothing is said of who
// asks. It returns the URL in the form that is kept, and its origin, which is where an embedded registry is.
func Reach(ctx context.Context, url string, roots *x509.CertPool, now func() time.Time) (server, origin string, err error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: identity.ServerName, Time: now, NextProtos: []string{"http/1.1"}}
	w, err := newWire([]string{url}, conf, 0, now)
	if err != nil {
		return "", "", err
	}
	defer w.client.CloseIdleConnections()
	return w.bases[0], w.origin(), w.do(ctx, http.MethodGet, "/healthz", nil, nil, nil)
}
