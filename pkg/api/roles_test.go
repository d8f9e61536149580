package api

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// TestRoles lets each role do its part and nothing beyond it; a node is none of them.
func TestRoles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v, o, a, p := identity.RoleViewer, identity.RoleOperator, identity.RoleAdmin, identity.RolePublisher
	for _, c := range []struct {
		what string
		call func(*OperatorClient) error
		may  []identity.Role
	}{
		{"status", func(c *OperatorClient) error { _, err := c.Status(t.Context(), 1); return err }, []identity.Role{v, o, a}},
		{"nodes", func(c *OperatorClient) error { _, err := c.Nodes(t.Context(), report.Query{}); return err }, []identity.Role{v, o, a}},
		{"traits", func(c *OperatorClient) error { _, err := c.Traits(t.Context(), report.Query{}, ""); return err }, []identity.Role{v, o, a}},
		{"events", func(c *OperatorClient) error { _, err := c.Events(t.Context(), 1); return err }, []identity.Role{v, o, a}},
		{"list tokens", func(c *OperatorClient) error { _, err := c.ListTokens(t.Context()); return err }, []identity.Role{o, a}},
		{"create a token", func(c *OperatorClient) error { _, err := c.CreateToken(t.Context(), TokenRequest{}); return err }, []identity.Role{o, a}},
		{"revoke a token", func(c *OperatorClient) error { return c.RevokeToken(t.Context(), "x") }, []identity.Role{o, a}},
		{"retire", func(c *OperatorClient) error { return c.Retire(t.Context(), node) }, []identity.Role{o, a}},
		{"channels", func(c *OperatorClient) error { return c.PutChannels(t.Context(), nil) }, []identity.Role{a, p}},
		{"recipients", func(c *OperatorClient) error { _, err := c.Recipients(t.Context()); return err }, []identity.Role{a, p}},
		{"examine", func(c *OperatorClient) error {
			d, err := c.Diagnose(t.Context())
			if err == nil && !d.Done {
				return errors.New("not waited for")
			}
			return err
		}, []identity.Role{o, a}},
		{"list operators", func(c *OperatorClient) error { _, err := c.ListOperators(t.Context()); return err }, []identity.Role{a}},
		{"add an operator", func(c *OperatorClient) error {
			_, err := c.AddOperator(t.Context(), Operator{Name: "jane", Role: v})
			return err
		}, []identity.Role{a}},
		{"remove an operator", func(c *OperatorClient) error { return c.RemoveOperator(t.Context(), "jane") }, []identity.Role{a}},
	} {
		for _, role := range operatorRoles() {
			err := c.call(r.operator(t, role))
			may := false
			for _, m := range c.may {
				may = may || m == role
			}
			if may && err != nil {
				t.Errorf("%s as %s: %v", c.what, role, err)
			} else if !may {
				refusedAs(t, c.what+" as "+string(role), err, ErrForbidden)
			}
		}
	}
	for _, role := range []identity.Role{identity.RoleNode, "root", ""} {
		_, err := r.admin.AddOperator(t.Context(), Operator{Name: "jane", Role: role})
		refusedAs(t, fmt.Sprintf("an operator as %q", role), err, ErrBadRequest)
	}
	_, err := r.admin.AddOperator(t.Context(), Operator{Name: "-jane", Role: v})
	refusedAs(t, "an operator whose name is none", err, ErrBadRequest)
	_, err = r.admin.Node(t.Context(), "nonesuch")
	refusedAs(t, "a node that is not there", err, ErrNotFound)
}

// TestEveryRouteHasItsRoles: what the list of routes says of a route is so, and a route is for nobody who shows nothing. None of
// these requests reaches the backend, which has no part for most of them.
func TestEveryRouteHasItsRoles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cert = tls.Certificate{}
	all := map[string][]identity.Role{
		"viewer":    {identity.RolePublisher},
		"operator":  {identity.RoleViewer, identity.RolePublisher},
		"publisher": {identity.RoleViewer, identity.RoleOperator},
		"admin":     {identity.RoleViewer, identity.RoleOperator, identity.RolePublisher},
		"anyone":    {},
	}
	ask := func(route route, token string) (*http.Response, *Error) {
		method, path, _ := strings.Cut(pathOf(route), " ")
		req, err := http.NewRequestWithContext(t.Context(), method, r.server.URL+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", token)
		return r.raw(t, req)
	}
	for _, route := range (&server{}).routes() {
		refused, forPeople := all[route.who]
		if !forPeople {
			if !slices.Contains([]string{"token", "node", "hub", "nobody"}, route.who) {
				t.Errorf("%s is for %q: who is that?", route.pattern, route.who)
			}
			continue
		}
		if resp, said := ask(route, ""); resp.StatusCode != http.StatusUnauthorized || said == nil {
			t.Errorf("%s of nobody: %s %+v", route.pattern, resp.Status, said)
		}
		for _, role := range refused {
			if resp, said := ask(route, "Bearer "+r.operators[role].Text()); resp.StatusCode != http.StatusForbidden || said == nil || said.Code != ErrForbidden.Code {
				t.Errorf("%s as %s: %s %+v", route.pattern, role, resp.Status, said)
			}
		}
	}
}

// pathOf is the pattern of a route with something in the places of its parameters.
func pathOf(r route) string { return regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(r.pattern, "x") }

// TestNodeIsNoOperator: the certificate of a node opens no operator route, and an operator token no route of nodes.
func TestNodeIsNoOperator(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, route := range (&server{}).routes() {
		if slices.Contains([]string{"token", "node", "hub", "nobody"}, route.who) {
			continue
		}
		method, path, _ := strings.Cut(pathOf(route), " ")
		req, err := http.NewRequestWithContext(t.Context(), method, r.server.URL+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if resp, said := r.raw(t, req); resp.StatusCode != http.StatusForbidden || said == nil || said.Code != ErrWrongNode.Code {
			t.Errorf("%s with a node's certificate: %s %+v", route.pattern, resp.Status, said)
		}
	}
	r.cert = tls.Certificate{}
	for _, path := range []string{"/v1/checkin", "/v1/runs", "/v1/facets", "/v1/renew", "/v1/reboot"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.server.URL+path, strings.NewReader(`{"node":"web-1"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+r.operators[identity.RoleAdmin].Text())
		req.Header.Set("Content-Type", "application/json")
		if resp, said := r.raw(t, req); resp.StatusCode != http.StatusUnauthorized || said == nil {
			t.Errorf("%s with an admin's token: %s %+v", path, resp.Status, said)
		}
	}
}

// TestBadTokenSaysNothing answers every wrong operator token with the same bytes.
func TestBadTokenSaysNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cert = tls.Certificate{}
	good := r.operators[identity.RoleViewer].Text()
	other, err := identity.NewSecret(r.ca.Fingerprint(), true)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	wrongSecret := parts[0] + "." + strings.Split(other.Text(), ".")[1] + "." + parts[2]
	said := map[string][]string{}
	for name, token := range map[string]string{"unknown": other.Text(), "wrong secret": wrongSecret, "cut": good[:20], "none": "", "rubbish": "\x7f", "for enrolment": strings.Replace(good, "vigoop_", "vigo_", 1)} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, r.server.URL+"/v1/status", nil)
		req.RequestURI = ""
		req.Header.Set("Authorization", "Bearer "+token)
		if token == "\x7f" {
			req.Header.Set("Authorization", "Basic eDp4")
		}
		resp, e := r.raw(t, req)
		answer := fmt.Sprint(resp.StatusCode, " ", e.Code, " ", e.Message, " ", e.Advice)
		said[answer] = append(said[answer], name)
	}
	if len(said) != 1 {
		t.Errorf("the answers tell wrong tokens apart: %v", said)
	}
}

// TestBusy sends away what is too much at once, with the time to come back, and lets those under way finish.
func TestBusy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.set(func() { r.hold, r.entered = make(chan struct{}), make(chan struct{}, requests+1) })
	done := make(chan error, requests)
	for range requests {
		go func() {
			_, err := r.admin.Status(t.Context(), 1)
			done <- err
		}()
	}
	for range requests {
		<-r.entered
	}
	_, err := r.admin.Status(t.Context(), 1)
	refusedAs(t, "one too many", err, ErrBusy)
	if e, ok := errors.AsType[*Error](err); !ok || e.Retry != ErrBusy.Retry {
		t.Errorf("it says to come back after %v", e)
	}
	hold := r.hold
	r.set(func() { r.hold = nil })
	if _, err := r.agent.CheckIn(t.Context(), report.CheckIn{Node: node}); err != nil {
		t.Errorf("a check-in, which does not wait for the store: %v", err)
	}
	close(hold)
	for range requests {
		if err := <-done; err != nil {
			t.Fatalf("a request that was under way: %v", err)
		}
	}
	if _, err := r.admin.Status(t.Context(), 1); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
