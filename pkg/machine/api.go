//go:build linux

package machine

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// api is host.API. There is no limit of time but that of the context: an engine answers a pull when it is done.
type api struct{ tree *tree }

var _ host.API = (*api)(nil)

const defaultAnswer = 16 << 20 // bytes

// Call implements [host.API]. Every call has a connection of its own: a run makes few, and none is left open behind it.
func (a *api) Call(ctx context.Context, c host.Call) (host.Answer, error) {
	var none host.Answer
	method := c.Method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL, bytes.NewReader(c.Body))
	if err != nil {
		return none, fmt.Errorf("calling: %w", err)
	}
	doing := fmt.Sprintf("calling %s %s", method, req.URL.Redacted())
	if c.Socket != "" {
		doing = fmt.Sprintf("calling %s %s through %s", method, req.URL.Path, c.Socket)
	}
	if req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		return none, fmt.Errorf("%s: want http or https", doing)
	}
	for key, value := range c.Header {
		req.Header.Set(key, value)
	}
	transport, err := a.transport(c)
	if err != nil {
		return none, fmt.Errorf("%s: %w", doing, err)
	}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // its text repeats the URL
		}
		if c.Socket != "" && errors.Is(err, unix.ENOENT) {
			err = fmt.Errorf("%w: %w", host.ErrNotFound, err)
		}
		if c.Socket != "" && errors.Is(err, unix.ECONNREFUSED) {
			err = fault.WithHint(err, "the service behind the socket has ended: systemctl status says why")
		}
		return none, fmt.Errorf("%s: %w", doing, err)
	}
	defer res.Body.Close()
	limit := c.Limit
	if limit == 0 {
		limit = defaultAnswer
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = fmt.Errorf("the answer has more than the limit of %d bytes", limit)
	}
	if err != nil {
		return none, fmt.Errorf("%s: %w", doing, err)
	}
	return host.Answer{Status: res.StatusCode, Body: body}, nil
}

// transport leads to the service of one call.
func (a *api) transport(c host.Call) (*http.Transport, error) {
	t := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 15 * time.Second,
		DisableKeepAlives:   true,
	}
	if c.Socket != "" {
		if !a.tree.live() {
			return nil, refuse("asking a service of the machine")
		}
		if err := check(c.Socket); err != nil {
			return nil, err
		}
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 15 * time.Second}).DialContext(ctx, "unix", c.Socket)
		}
		return t, nil
	}
	t.Proxy = http.ProxyFromEnvironment
	trust, err := trustOf(c.TLS)
	t.TLSClientConfig = trust
	return t, err
}

// trustOf is whom a call believes, and as whom it is made.
func trustOf(o host.TLS) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.ServerName, InsecureSkipVerify: o.Insecure}
	if len(o.CA) > 0 {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("reading the certificate of the authority: no certificate in PEM")
		}
	}
	if len(o.Cert)+len(o.Key) > 0 {
		pair, err := tls.X509KeyPair(o.Cert, o.Key)
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}
