package reporting

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/sqlstore"
)

// FuzzService throws requests of a node and of an admin at the whole service with its store: it never panics, never
// fails, and still answers afterwards.
func FuzzService(f *testing.F) {
	ca, err := identity.NewCA("acme", time.Now())
	fail := func(err error) {
		if err != nil {
			f.Fatal(err)
		}
	}
	fail(err)
	db, err := sqlstore.Open(f.Context(), filepath.Join(f.TempDir(), "report.db"), sqlstore.Options{})
	fail(err)
	f.Cleanup(func() { fail(db.Close()) })
	s, err := New(f.Context(), Config{DB: db, CA: ca, Fleet: "acme", Channel: "stable", Schema: expr.NewSchema(), Log: slog.New(slog.DiscardHandler), Now: time.Now})
	fail(err)
	admin, err := s.AddOperator(f.Context(), api.Operator{Name: "admin", Role: identity.RoleAdmin})
	fail(err)
	key, err := identity.NewNodeKey()
	fail(err)
	csr, err := key.CSR("web-1")
	fail(err)
	token, err := s.CreateToken(f.Context(), api.TokenRequest{})
	fail(err)
	answer, err := s.Enroll(f.Context(), api.EnrollRequest{Token: token.Token, Node: "web-1", CSR: string(csr)})
	fail(err)
	cert, err := key.Certificate([]byte(answer.Certificate))
	fail(err)
	chain := []*x509.Certificate{cert.Leaf}
	for _, seed := range [][3]string{
		{"POST", "/v1/checkin", `{"node":"web-1","facets":{"os":"sha256:0"},"refusals":[{"name":"x"}],"run":{"id":"1","counts":{"failed":-1}}}`},
		{"POST", "/v1/runs", `{"runs":[]}`}, {"POST", "/v1/runs", `{"runs":[{"id":"1","node":"web-1","started":"9999-12-31T23:59:59Z","results":[{"id":"","outcome":"failed"}]}]}`},
		{"POST", "/v1/facets", `{"node":"web-1","facets":[{"doc":null}]}`}, {"POST", "/v1/renew", `{"csr":""}`}, {"POST", "/v1/enroll", `{"token":"vigo_","node":"..","csr":"-"}`},
		{"GET", "/v1/status?problems=-1", ""}, {"GET", "/v1/nodes?name=[&label==", ""}, {"GET", "/v1/nodes/%2e%2e", ""}, {"GET", "/v1/traits?where=((((", ""},
		{"GET", "/v1/events?limit=99999999999999999999", ""}, {"POST", "/v1/tokens", `{"uses":9223372036854775807,"life":9223372036854775807}`}, {"DELETE", "/v1/tokens/x", ""},
		{"PUT", "/v1/channels", `{"channels":[{"channel":"a","pointer":"-1.-1","interval":-1}]}`}, {"PUT", "/v1/operators/x", `{"role":"viewer"}`}, {"DELETE", "/v1/operators/x", ""},
		{"GET", "/v1/inventory?where=os.id&show=a[&count=.", ""}, {"PUT", "/v1/questions/x", `{"where":"true","show":["os["]}`}, {"DELETE", "/v1/questions/x", ""},
		{"PUT", "/v1/alerts/rules", `{"rules":[{"name":"a","where":"((","node":["["],"groupBy":["x"],"for":-1}]}`}, {"GET", "/v1/alerts", ""},
		{"POST", "/v1/mutes", `{"rule":"[","reason":"x","until":"2999-01-01T00:00:00Z"}`}, {"DELETE", "/v1/mutes/x", ""}, {"POST", "/v1/receivers/x/test", "{}"},
		{"GET", "/v1/notices/dead?limit=-1", ""}, {"POST", "/v1/notices/dead/x", "{}"}, {"DELETE", "/v1/notices/dead/x", ""},
		{"GET", "/metrics", ""}, {"GET", "/readyz", ""},
	} {
		f.Add(seed[0], seed[1], []byte(seed[2]))
	}
	h, count := s.Handler(), int64(0)
	f.Fuzz(func(t *testing.T, method, target string, body []byte) {
		if path, _, _ := strings.Cut(target, "?"); strings.HasSuffix(path, "/web-1") || strings.HasSuffix(path, "/admin") {
			return // the two that ask stay
		}
		req, err := http.NewRequestWithContext(t.Context(), method, "https://127.0.0.1"+target, bytes.NewReader(body))
		if err != nil {
			return
		}
		req.RemoteAddr = "127.0.0.1:1"
		req.TLS = &tls.ConnectionState{PeerCertificates: chain, VerifiedChains: [][]*x509.Certificate{chain}}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+admin)
		count++
		_ = identity.Sign(req, body, key.Signer(), identity.Stamp{KeyID: "web-1", Counter: count, Created: time.Now()}) // not with a query
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code >= 500 {
			t.Errorf("%s %s %q: %d %s", method, target, body, w.Code, w.Body)
		}
		if _, err := s.Status(t.Context(), 1000); err != nil {
			t.Error(err)
		}
	})
}
