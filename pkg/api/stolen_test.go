package api

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// A certificate is public: without its key it opens no connection, not even with a signature of another key that is right.
func TestStolenCertificateIsWorthNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	thief, err := identity.NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	stolen := tls.Certificate{Certificate: r.cert.Certificate, Leaf: r.cert.Leaf, PrivateKey: thief.Signer()}
	for name, key := range map[string]identity.NodeKey{"signing with a key of the thief": thief, "replaying what the node signs": r.key} {
		if _, err := r.client(t, node, key, &stolen).CheckIn(t.Context(), report.CheckIn{Node: node}); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(r.checked) > 0 {
		t.Errorf("let through: %+v", r.checked)
	}
}

// Every request of a node that changes something counts: the same bytes a second time are refused.
func TestEveryRequestCounts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	csr, err := r.key.CSR(node)
	if err != nil {
		t.Fatal(err)
	}
	renewal, err := json.Marshal(RenewRequest{CSR: string(csr)})
	if err != nil {
		t.Fatal(err)
	}
	for path, body := range map[string]string{
		"/v1/checkin": `{"node":"web-1"}`, "/v1/runs": `{"runs":[{"id":"1","node":"web-1"}]}`, "/v1/facets": `{"node":"web-1"}`, "/v1/renew": string(renewal),
	} {
		req := r.signed(t, path, body)
		again, elsewhere := req.Clone(t.Context()), req.Clone(t.Context())
		again.Body, elsewhere.Body = io.NopCloser(strings.NewReader(body)), io.NopCloser(strings.NewReader(body))
		if _, said := r.raw(t, req); said != nil {
			t.Errorf("%s: %v", path, said)
		}
		if _, said := r.raw(t, again); said == nil || said.Code != ErrReplay.Code {
			t.Errorf("%s again: %+v", path, said)
		}
		elsewhere.URL.Path = "/v1/checkin"
		if path == elsewhere.URL.Path {
			elsewhere.URL.Path = "/v1/runs"
		}
		if _, said := r.raw(t, elsewhere); said == nil || said.Code != ErrSignature.Code {
			t.Errorf("%s at %s: %+v", path, elsewhere.URL.Path, said)
		}
	}
}

// Certificates of hubs and of the service, and of roles nobody knows, open no route of operators; not even to ask who one is.
func TestOnlyOperatorsAreOperators(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, role := range []identity.Role{identity.RoleHub, identity.RoleService, "root"} {
		csr, err := r.key.CSR("plant-3")
		if err != nil {
			t.Fatal(err)
		}
		chain, _, err := r.ca.IssueClient(csr, identity.Client{Role: role, Name: "plant-3"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if r.cert, err = r.key.Certificate(chain); err != nil {
			t.Fatal(err)
		}
		for _, route := range []string{"GET /v1/status", "GET /v1/audit", "GET /v1/whoami", "GET /v1/access", "POST /v1/access", "DELETE /v1/access/x", "POST /v1/tokens"} {
			method, path, _ := strings.Cut(route, " ")
			req, err := http.NewRequestWithContext(t.Context(), method, r.server.URL+path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			if resp, said := r.raw(t, req); resp.StatusCode != http.StatusForbidden || said == nil || said.Code != ErrWrongNode.Code {
				t.Errorf("%s as %s: %s %+v", route, role, resp.Status, said)
			}
		}
	}
}
