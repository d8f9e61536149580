package api

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trait"
)

// TestAgent does everything a node does, over mTLS.
func TestAgent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	answer, err := r.agent.CheckIn(t.Context(), report.CheckIn{Node: node, Seq: 1})
	if err != nil || answer.Interval != time.Minute {
		t.Errorf("checking in: %+v, %v", answer, err)
	}
	if err := r.agent.Put(t.Context(), report.Run{ID: "1", Node: node}); err != nil || len(r.runs) != 1 {
		t.Errorf("delivering a run: %v", err)
	}
	facet, err := trait.FacetOf("os", "debian")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.agent.PutFacets(t.Context(), report.Facets{Node: node, Facets: []trait.Facet{facet}}); err != nil {
		t.Errorf("delivering traits: %v", err)
	}
	facet.Digest = "sha256:" + strings.Repeat("0", 64)
	refusedAs(t, "a trait under another digest", r.agent.PutFacets(t.Context(), report.Facets{Node: node, Facets: []trait.Facet{facet}}), ErrDigest)
	refusedAs(t, "a run of another node", r.agent.Put(t.Context(), report.Run{ID: "1", Node: "web-2"}), ErrWrongNode)
	refusedAs(t, "a run without ID", r.agent.Put(t.Context(), report.Run{Node: node}), ErrBadRequest)
	_, err = r.agent.CheckIn(t.Context(), report.CheckIn{Node: "web-2"})
	refusedAs(t, "a check-in of another node", err, ErrWrongNode)
	refusedAs(t, "too many runs", r.agent.PutRuns(t.Context(), make([]report.Run, MaxRuns+1)), ErrTooLarge)
	refusedAs(t, "too many results", r.agent.Put(t.Context(), report.Run{ID: "2", Node: node, Results: make([]report.Result, MaxResults+1)}), ErrTooLarge)
	refusedAs(t, "too many traits", r.agent.PutFacets(t.Context(), report.Facets{Node: node, Facets: make([]trait.Facet, MaxFacets+1)}), ErrTooLarge)
}

// TestAgentProof needs certificate and signature of one node and key.
func TestAgentProof(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stranger, err := identity.NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	foreign := newRig(t)
	own := r.cert
	otherName, otherKey := r.certificate(t, r.key, "web-2", time.Now()), r.certificate(t, stranger, node, time.Now())
	expired := r.certificate(t, r.key, node, time.Now().Add(-30*24*time.Hour))
	r.keys["web-2"] = r.key.Public()
	for name, c := range map[string]struct {
		client *AgentClient
		want   *Error
	}{
		"no certificate":                 {r.client(t, node, r.key, nil), ErrUnauthorized},
		"certificate of another node":    {r.client(t, node, r.key, &otherName), ErrWrongNode},
		"certificate for another key":    {r.client(t, node, r.key, &otherKey), ErrWrongNode},
		"signature of another key":       {r.client(t, node, stranger, &own), ErrSignature},
		"signature in another name":      {r.client(t, "web-2", r.key, &own), ErrWrongNode},
		"signature of an unknown node":   {r.client(t, "web-9", r.key, &own), ErrUnknownNode},
		"expired certificate, not shown": {r.client(t, node, r.key, &expired), ErrUnauthorized},
	} {
		_, err := c.client.CheckIn(t.Context(), report.CheckIn{Node: c.client.o.Node})
		refusedAs(t, name, err, c.want)
	}
	if _, err := r.client(t, node, r.key, &foreign.cert).CheckIn(t.Context(), report.CheckIn{Node: node}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("a certificate of another fleet ends the connection: %v", err)
	}
	r.now = func() time.Time { return time.Now().Add(-time.Hour) }
	req := r.signed(t, "/v1/checkin", `{"node":"web-1"}`)
	r.now = time.Now
	if _, said := r.raw(t, req); said == nil || said.Code != ErrSkew.Code || said.Advice == "" {
		t.Errorf("a clock an hour behind: %+v", said)
	}
	req = r.signed(t, "/v1/checkin", `{"node":"web-1"}`)
	again := req.Clone(t.Context())
	again.Body = io.NopCloser(strings.NewReader(`{"node":"web-1"}`))
	if _, said := r.raw(t, req); said != nil {
		t.Errorf("as it should be: %v", said)
	}
	if _, said := r.raw(t, again); said == nil || said.Code != ErrReplay.Code {
		t.Errorf("the same again: %+v", said)
	}
	if len(r.checked) != 1 {
		t.Errorf("%d check-ins were let through", len(r.checked))
	}
}

// TestRenew works without a certificate, for one that has run out, and needs the signature all the more.
func TestRenew(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	csr, err := r.key.CSR(node)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(RenewRequest{CSR: string(csr)})
	if err != nil {
		t.Fatal(err)
	}
	r.cert = tls.Certificate{}
	req := r.signed(t, "/v1/renew", string(body))
	if _, said := r.raw(t, req); said != nil {
		t.Errorf("signed: %v", said)
	}
	req = r.signed(t, "/v1/renew", string(body))
	req.Header.Del("Signature")
	if resp, said := r.raw(t, req); said == nil || said.Code != ErrSignature.Code || !resp.Close {
		t.Errorf("not signed: %+v; the connection stays: %v", said, !resp.Close)
	}
}

// TestBodies refuses what is too large, is no JSON, or is more than one document; what it does not know it ignores, so
// that newer agents can talk to older services.
func TestBodies(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	pad := strings.Repeat(" ", MaxSmall)
	for name, c := range map[string]struct {
		path, body, kind string
		want             *Error
	}{
		"as it should be":   {"/v1/checkin", `{"node":"web-1"}`, "application/json", nil},
		"with charset":      {"/v1/checkin", `{"node":"web-1"}`, "application/json; charset=utf-8", nil},
		"newer key":         {"/v1/checkin", `{"node":"web-1","mood":{"of":["the","day"]}}`, "application/json", nil},
		"largest":           {"/v1/checkin", `{"node":"web-1"}` + pad[:MaxSmall-16], "application/json", nil},
		"one byte more":     {"/v1/checkin", `{"node":"web-1"}` + pad[:MaxSmall-15], "application/json", ErrTooLarge},
		"8 MiB and more":    {"/v1/runs", `{"runs":[]}` + strings.Repeat(" ", MaxUpload), "application/json", ErrTooLarge},
		"two documents":     {"/v1/checkin", `{"node":"web-1"}{}`, "application/json", ErrBadRequest},
		"not JSON":          {"/v1/checkin", `node: web-1`, "application/json", ErrBadRequest},
		"nothing":           {"/v1/checkin", ``, "application/json", ErrBadRequest},
		"cut":               {"/v1/checkin", `{"node":"web-`, "application/json", ErrBadRequest},
		"another shape":     {"/v1/checkin", `{"node":7}`, "application/json", ErrBadRequest},
		"null":              {"/v1/checkin", `null`, "application/json", ErrWrongNode},
		"deep":              {"/v1/checkin", `{"node":` + strings.Repeat("[", 20000), "application/json", ErrBadRequest},
		"no runs":           {"/v1/runs", `{"runs":[]}`, "application/json", nil},
		"a form":            {"/v1/checkin", `{"node":"web-1"}`, "application/x-www-form-urlencoded", ErrMediaType},
		"no type":           {"/v1/checkin", `{"node":"web-1"}`, "", ErrMediaType},
		"type that is none": {"/v1/checkin", `{"node":"web-1"}`, ";;", ErrMediaType},
	} {
		req := r.signed(t, c.path, c.body)
		req.Header.Set("Content-Type", c.kind)
		resp, said := r.raw(t, req)
		switch {
		case c.want == nil && said != nil:
			t.Errorf("%s: %v", name, said)
		case c.want != nil && (said == nil || said.Code != c.want.Code || resp.StatusCode != c.want.Status || said.Message == ""):
			t.Errorf("%s: got %d %+v, want %s", name, resp.StatusCode, said, c.want.Code)
		}
	}
	// A body whose length is not announced is cut off at the limit, too.
	body := io.MultiReader(strings.NewReader(`{"token":"`), endless{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.server.URL+"/v1/enroll", io.LimitReader(body, 64<<20))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if _, said := r.raw(t, req); said == nil || said.Code != ErrTooLarge.Code {
		t.Errorf("an endless body: %+v", said)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

// TestRefusalsTravel keep their code, words, hint and time to come back over the wire; what is not a refusal stays in the
// log of the service.
func TestRefusalsTravel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, c := range []struct {
		fail error
		want *Error
	}{
		{ErrTooMany, ErrTooMany}, {ErrStore, ErrStore}, {fmt.Errorf("%w: disk at /secret", ErrStore), ErrStore}, {Refuse(ErrTaken, "web-1 is taken"), ErrTaken},
		{context.DeadlineExceeded, ErrBusy}, {identity.ErrExpired, ErrToken}, {identity.ErrUsed, ErrToken}, {identity.ErrNotAllowed, ErrToken},
		{identity.ErrCSR, ErrBadRequest}, {errors.New("secret detail"), ErrInternal},
	} {
		r.set(func() { r.fail = c.fail })
		_, err := r.admin.Status(t.Context(), 1)
		refusedAs(t, c.fail.Error(), err, c.want)
		got, _ := errors.AsType[*Error](err)
		if got.Retry != c.want.Retry || strings.Contains(got.Message, "secret") {
			t.Errorf("%v: %q, come back after %s", c.fail, got.Message, got.Retry)
		}
		if c.want.Advice != "" && len(fault.Hints(err)) == 0 {
			t.Errorf("%v: the hint is lost", c.fail)
		}
	}
}

// TestClientReach tells "could not ask" from "was refused".
func TestClientReach(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := newRig(t)
	for name, h := range map[string]http.HandlerFunc{
		"a proxy's page": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<h1>Bad gateway</h1>", http.StatusBadGateway)
		},
		"another service": func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) },
		"a redirection": func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, "https://example.com/", http.StatusFound)
		},
		"a cut connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		s := httptest.NewUnstartedServer(h)
		s.TLS = r.ca.NewServer(nil, time.Now).TLS()
		s.StartTLS()
		defer s.Close()
		c, err := NewOperatorClient(s.URL, r.operators[identity.RoleViewer].Text(), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Status(t.Context(), 1); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, err := NewOperatorClient(other.server.URL, r.operators[identity.RoleViewer].Text(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context(), 1); !errors.Is(err, identity.ErrPin) || errors.Is(err, ErrUnreachable) {
		t.Errorf("a server of another authority: %v", err)
	}
	r.server.Close()
	if _, err := r.admin.Status(t.Context(), 1); !errors.Is(err, ErrUnreachable) || len(fault.Hints(err)) == 0 {
		t.Errorf("a service that is down: %v", err)
	}
	for _, url := range []string{"", "http://127.0.0.1:1", "127.0.0.1:1", "https://", "https://a?b", "://"} {
		if _, err := NewOperatorClient(url, r.operators[identity.RoleViewer].Text(), time.Now); err == nil || len(fault.Hints(err)) == 0 {
			t.Errorf("address %q: %v", url, err)
		}
	}
}

// TestChannelNotes carries all channels at once, also with long mistakes, and refuses what names a channel twice.
func TestChannelNotes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	publisher := r.operator(t, identity.RolePublisher)
	notes := make([]report.ChannelNote, 20)
	for i := range notes {
		notes[i] = report.ChannelNote{Channel: fmt.Sprint("c", i), Error: strings.Repeat("x", 8<<10)}
	}
	if err := publisher.PutChannels(t.Context(), notes); err != nil || len(r.notes) != 20 {
		t.Errorf("20 channels with 8 KiB each: %v", err)
	}
	refusedAs(t, "a channel twice", publisher.PutChannels(t.Context(), []report.ChannelNote{{Channel: "a"}, {Channel: "a"}}), ErrBadRequest)
	refusedAs(t, "no name", publisher.PutChannels(t.Context(), []report.ChannelNote{{}}), ErrBadRequest)
	refusedAs(t, "too many", publisher.PutChannels(t.Context(), make([]report.ChannelNote, MaxChannels+1)), ErrTooLarge)
}

// TestQuery carries filters in the address.
func TestQuery(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	q := report.Query{Name: "web-*", Labels: map[string]string{"role": "a=b&c", "x": ""}}
	nodes, err := r.admin.Nodes(t.Context(), q)
	if err != nil || nodes[0].Name != q.Name || fmt.Sprint(nodes[0].Labels) != fmt.Sprint(q.Labels) {
		t.Errorf("%+v, %v", nodes, err)
	}
}
