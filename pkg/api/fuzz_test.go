package api

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// FuzzRequests throws bodies at every route that takes one, as a node and as an admin: it never panics, and answers every
// one with a document.
func FuzzRequests(f *testing.F) {
	key, err := identity.NewNodeKey()
	if err != nil {
		f.Fatal(err)
	}
	ca, err := identity.NewCA("acme", time.Now())
	if err != nil {
		f.Fatal(err)
	}
	csr, err := key.CSR(node)
	if err != nil {
		f.Fatal(err)
	}
	chain, _, err := ca.IssueClient(csr, identity.Client{Role: identity.RoleNode, Name: node}, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	cert, err := key.Certificate(chain)
	if err != nil {
		f.Fatal(err)
	}
	routes := []string{"/v1/enroll", "/v1/renew", "/v1/checkin", "/v1/runs", "/v1/facets", "/v1/tokens", "/v1/channels", "/v1/operators/x"}
	for i, body := range []string{`{"token":"x","node":"web-1","csr":""}`, `{"csr":"x"}`, `{"node":"web-1","facets":{"os":"sha256:0"}}`, `{"runs":[{"id":"1","node":"web-1"}]}`,
		`{"node":"web-1","facets":[{"name":"os","digest":"x","doc":null}]}`, `{"names":"[","uses":-1,"life":-1}`, `{"channels":[{"channel":"stable"}]}`, `{"role":"viewer"}`} {
		f.Add(i, []byte(body))
	}
	f.Fuzz(func(t *testing.T, route int, body []byte) {
		b := &backend{operators: tokens{}, keys: nodeKeys(key), now: time.Now}
		if b.operators[identity.RoleAdmin], err = identity.NewSecret(ca.Fingerprint(), true); err != nil {
			t.Fatal(err)
		}
		h := NewServer(Backend{Agents: b, Gate: b, Operators: b, Admin: b, Roster: b, Staff: b, Fleet: "acme", Log: quiet(), Now: time.Now, Observe: func(string, int, time.Duration) {}})
		path := routes[((route%len(routes))+len(routes))%len(routes)]
		method := http.MethodPost
		if path == "/v1/channels" || path == "/v1/operators/x" {
			method = http.MethodPut
		}
		req := httptest.NewRequest(method, "https://127.0.0.1"+path, bytes.NewReader(body))
		req.TLS = &tls.ConnectionState{PeerCertificates: certificates(cert), VerifiedChains: verified(cert)}
		if err := identity.Sign(req, body, key.Signer(), identity.Stamp{KeyID: node, Counter: 1, Created: time.Now()}); err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+b.operators[identity.RoleAdmin].Text())
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if !json.Valid(w.Body.Bytes()) || w.Code >= 500 {
			t.Errorf("%s %q: %d %s", path, body, w.Code, w.Body)
		}
	})
}

// FuzzAnswers throws answers at the client: it never panics, and refuses what is none.
func FuzzAnswers(f *testing.F) {
	f.Add(200, []byte(`{"fleet":"acme"}`))
	f.Add(429, []byte(`{"error":{"code":"too-many"}}`))
	f.Add(500, []byte(`{"error":null}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		err := refused(answer{status: status, header: http.Header{"Retry-After": {string(body)}}, data: body})
		if err == nil {
			t.Error("a refusal is no error")
		}
		if e, ok := errors.AsType[*Error](err); ok && (e.Code == "" || e.Retry < 0 || e.Retry > maxRetry) {
			t.Errorf("%+v", e)
		}
		var st report.Status
		_ = json.Unmarshal(body, &st) // only that it does not panic
	})
}
