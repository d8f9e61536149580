// Package ocistore keeps bundles in registries and folders: any OCI distribution 1.1 registry (or an older one, through
// the fallback tag for referrers), an OCI image layout, a cache in front of either, and a registry to embed.
//
// It refuses to decide what is trusted: it compares digests and sizes, package trust does the rest. It refuses to
// retry: callers come back on their next cycle, and nothing waits long for a registry.
package ocistore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
)

// ErrDenied says that a registry does not let this user do what was asked.
var ErrDenied = errors.New("the registry does not allow it")

const layoutPrefix = "oci-layout:"

// Options say how to reach a registry. The zero value is anonymous HTTPS with the roots of the system, and plain HTTP
// for addresses of this machine unless CAs, Certificate or TLS are given.
type Options struct {
	PlainHTTP bool
	CAs       *x509.CertPool // nil: those of the system
	// Certificate, if not nil, is asked for the client certificate of each connection, so that a renewed one is used.
	Certificate func() (*tls.Certificate, error)
	TLS         *tls.Config // in place of CAs and Certificate: it says all of how the registry is known
	Username    string
	Password    string
	Token       string // bearer token, instead of user and password
	// Access is where credentials and certificates are when those above are not given.
	Access Access
	// Timeout bounds connecting, the wait for an answer and each pause while a body arrives; 0: 5 seconds. A whole
	// transfer is bounded by the context.
	Timeout time.Duration
	// Transport, if not nil, carries the requests; CAs and Certificate are then not used.
	Transport http.RoundTripper
}

// Open returns the store that ref names, "oci-layout:DIR" or "host[:port]/repository". Nothing is asked yet: a store
// that is not there shows when it is used.
func Open(_ context.Context, ref string, o Options) (bundle.Store, error) {
	if dir, ok := strings.CutPrefix(ref, layoutPrefix); ok {
		if dir == "" {
			return nil, fault.WithHint(errors.New("opening a store: oci-layout: names no folder"), "write oci-layout:DIR")
		}
		return NewLayout(dir), nil
	}
	return newRemote(ref, o)
}

// configured fills in what the configuration says of a registry.
func (o Options) configured(host string) (Options, error) {
	all, err := x509.SystemCertPool()
	if err != nil {
		all = x509.NewCertPool() // a system without authorities
	}
	some, client, err := o.Access.certificates(host, all)
	if err != nil {
		return o, err
	}
	if some && o.CAs == nil {
		o.CAs = all
	}
	if o.Certificate == nil {
		o.Certificate = client
	}
	return o, o.Access.check()
}

// plain says whether to speak HTTP without TLS to a host.
func (o Options) plain(host string) bool {
	if o.PlainHTTP {
		return true
	}
	if o.CAs != nil || o.Certificate != nil || o.TLS != nil {
		return false
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	ip := net.ParseIP(strings.Trim(name, "[]"))
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

func (o Options) timeout() time.Duration {
	if o.Timeout > 0 {
		return o.Timeout
	}
	return 5 * time.Second
}

func (o Options) transport() http.RoundTripper {
	if o.Transport != nil {
		return o.Transport
	}
	config := &tls.Config{RootCAs: o.CAs, MinVersion: tls.VersionTLS12}
	if o.Certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return o.Certificate() }
	}
	if o.TLS != nil {
		config = o.TLS
	}
	return &http.Transport{
		Proxy:                 proxy(),
		DialContext:           (&net.Dialer{Timeout: o.timeout()}).DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   o.timeout(),
		ResponseHeaderTimeout: o.timeout(),
		MaxIdleConnsPerHost:   2,
		IdleConnTimeout:       90 * time.Second,
		ForceAttemptHTTP2:     true,
		// A connection that is dead without a word must not hold up every request until TCP gives it up.
		HTTP2: &http.HTTP2Config{SendPingTimeout: o.timeout(), PingTimeout: o.timeout()},
	}
}

// proxy is HTTP_PROXY, HTTPS_PROXY and NO_PROXY as they are now.
func proxy() func(*http.Request) (*url.URL, error) {
	find := httpproxy.FromEnvironment().ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return find(r.URL) }
}

// notFound wraps bundle.ErrNotFound.
func notFound(what string) error { return fmt.Errorf("%s: %w", what, bundle.ErrNotFound) }
