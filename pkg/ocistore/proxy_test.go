package ocistore_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/ocistore/registry"
)

func TestRegistriesAreReachedThroughAProxy(t *testing.T) {
	r := newRegistry(t, registry.Options{})
	p := publish(t, inside(t, r))
	to := serve(t, r)
	var through atomic.Int32
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(q *httputil.ProxyRequest) {
		if q.In.URL.Host == "registry.example.com" { // which is nowhere but behind the proxy
			through.Add(1)
			q.Out.URL.Host = hostOf(to)
		}
	}})
	t.Cleanup(proxy.Close)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("NO_PROXY", "")
	if _, err := p.follow(t.Context(), open(t, "registry.example.com/fleet/bundles", ocistore.Options{PlainHTTP: true})); err != nil {
		t.Error(err)
	}
	if through.Load() == 0 {
		t.Error("nothing went through the proxy")
	}
}

// A TLS registry behind a proxy is reached through a tunnel.
func TestATunnelThroughAProxy(t *testing.T) {
	r := newRegistry(t, registry.Options{})
	p := publish(t, inside(t, r))
	ca, err := identity.OpenCA(filepath.Join(t.TempDir(), "ca"), "site", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(r)
	server.TLS = ca.NewServer([]string{"registry.example.com"}, time.Now).TLS()
	server.StartTLS()
	t.Cleanup(server.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodConnect || req.Host != "registry.example.com:443" {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		tunnel(t, w, server.Listener.Addr().String())
	}))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	t.Setenv("NO_PROXY", "")
	certs := t.TempDir()
	write(t, filepath.Join(certs, "registry.example.com", "site.crt"), string(ca.CertPEM()), 0o644)
	if _, err := p.follow(t.Context(), open(t, "registry.example.com/fleet/bundles", ocistore.Options{Access: ocistore.Access{Certs: certs}})); err != nil {
		t.Error(err)
	}
}

func tunnel(t *testing.T, w http.ResponseWriter, to string) {
	t.Helper()
	there, err := net.Dial("tcp", to)
	if err != nil {
		t.Error(err)
		return
	}
	w.WriteHeader(http.StatusOK)
	here, read, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	pipe := func(dst net.Conn, src io.Reader) {
		defer dst.Close()
		_, _ = io.Copy(dst, src) // the end of either ends both
	}
	go pipe(here, there)
	pipe(there, read) // the server may have read the start of it already
}
