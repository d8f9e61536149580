//go:build linux

package machine

import (
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/host"
)

func apiOf(t *testing.T) host.API {
	t.Helper()
	m, err := New(Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m.Host().API
}

// said answers with what it was asked.
func said(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.WriteHeader(http.StatusTeapot)
	io.WriteString(w, r.Method+" "+r.URL.String()+" "+r.Header.Get("X-Registry-Auth")+" "+string(body))
}

func TestAPIThroughASocket(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "engine.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(said), ReadHeaderTimeout: time.Minute}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	api := apiOf(t)
	got, err := api.Call(t.Context(), host.Call{Socket: socket, Method: "POST", URL: "http://engine/v1.40/x?y=z",
		Header: map[string]string{"X-Registry-Auth": "secret"}, Body: []byte("body")})
	if want := "POST /v1.40/x?y=z secret body"; err != nil || got.Status != http.StatusTeapot || string(got.Body) != want {
		t.Errorf("got %d %q, %v; want %q", got.Status, got.Body, err, want)
	}
	if _, err := api.Call(t.Context(), host.Call{Socket: socket, URL: "http://engine/" + strings.Repeat("x", 100), Limit: 50}); err == nil ||
		!strings.Contains(err.Error(), "more than the limit of 50 bytes") {
		t.Errorf("too long an answer: %v", err)
	}
	if _, err := api.Call(t.Context(), host.Call{Socket: socket + "x", URL: "http://engine/"}); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("no socket: %v", err)
	}
	if _, err := api.Call(t.Context(), host.Call{Socket: t.TempDir(), URL: "http://engine/"}); err == nil || errors.Is(err, host.ErrNotFound) {
		t.Errorf("no socket, but a directory: %v", err)
	}
}

func TestAPIBelievesTheGivenAuthorityAlone(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.HandlerFunc(said))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = nil
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	api := apiOf(t)
	got, err := api.Call(t.Context(), host.Call{URL: s.URL + "/version", TLS: host.TLS{CA: ca}})
	if err != nil || !strings.HasPrefix(string(got.Body), "GET /version") {
		t.Errorf("got %q, %v", got.Body, err)
	}
	for what, trust := range map[string]host.TLS{
		"an unknown authority": {},
		"another name":         {CA: ca, ServerName: "elsewhere.test"},
		"no certificate":       {CA: []byte("none")},
		"a key alone":          {CA: ca, Key: []byte("none")},
	} {
		if _, err := api.Call(t.Context(), host.Call{URL: s.URL, TLS: trust}); err == nil || strings.Contains(err.Error(), "none") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := api.Call(t.Context(), host.Call{URL: s.URL, TLS: host.TLS{Insecure: true}}); err != nil {
		t.Errorf("believing anybody: %v", err)
	}
	if _, err := api.Call(t.Context(), host.Call{URL: "file:///etc/passwd"}); err == nil || !strings.Contains(err.Error(), "want http or https") {
		t.Errorf("another scheme: %v", err)
	}
}
