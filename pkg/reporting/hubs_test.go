package reporting

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// hub enrols a hub; its certificate is good for asking and for serving.
func (r *rig) hub(t *testing.T, name string) (identity.NodeKey, api.EnrollAnswer) {
	t.Helper()
	key, err := identity.NewNodeKey()
	must(t, err)
	csr, err := key.CSR(name)
	must(t, err)
	answer, err := r.Enroll(t.Context(), api.EnrollRequest{Token: r.tokenFor(t, api.TokenRequest{Uses: 1, Hub: true}), Node: name, CSR: string(csr), Hub: true})
	must(t, err)
	return key, answer
}

func (r *rig) hubReport(t *testing.T, hub string, seen ...string) report.HubAnswer {
	t.Helper()
	out := report.HubReport{Hub: hub}
	for _, name := range seen {
		out.Seen = append(out.Seen, report.Sighting{Node: name})
	}
	answer, err := r.HubReport(t.Context(), hub, out)
	must(t, err)
	return answer
}

// A token for hubs is for nothing else, and the other way about: a node with the certificate of a hub could serve others.
func TestTokensAreForOneSort(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, hub := range []bool{true, false} {
		key, err := identity.NewNodeKey()
		must(t, err)
		csr, err := key.CSR("x-1")
		must(t, err)
		token := r.tokenFor(t, api.TokenRequest{Uses: 1, Hub: hub})
		_, err = r.Enroll(t.Context(), api.EnrollRequest{Token: token, Node: "x-1", CSR: string(csr), Hub: !hub})
		refusedAs(t, "the other sort", err, api.ErrToken)
	}
	_, answer := r.hub(t, "plant")
	cert, err := identity.ParseChain([]byte(answer.Certificate))
	must(t, err)
	if peer, err := identity.PeerOf(cert); err != nil || peer.Role != identity.RoleHub || !identity.OfHub(cert) {
		t.Errorf("the certificate of a hub is of %+v, %v", peer, err)
	}
	if nodes, err := r.Nodes(t.Context(), report.Query{}); err != nil || len(nodes) != 0 {
		t.Errorf("a hub counts as a node: %+v, %v", nodes, err)
	}
}

// The word of a hub counts for nodes that have shown themselves behind it, for a while, and while there is nothing to tell
// them.
func TestTheWordOfAHub(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.hub(t, "plant")
	r.hub(t, "hall")
	r.join(t, "web-1")
	r.join(t, "web-2")
	said := func(what, hub string, want ...string) {
		t.Helper()
		if got := r.hubReport(t, hub, "web-1", "web-9").Verbatim; !slices.Equal(got, append(want, "web-9")) {
			t.Errorf("%s: it wants to hear %v themselves, want %v and the one it does not know", what, got, want)
		}
	}
	said("of a node that never came", "plant", "web-1")
	r.checkIn(t, report.CheckIn{Node: "web-1"})
	said("of a node that came by itself", "plant", "web-1")
	r.checkIn(t, report.CheckIn{Node: "web-1", Hub: "plant"})
	said("of a node that came through it", "plant")
	said("of the node of another hub", "hall", "web-1")
	for range 4 {
		r.pass(5 * time.Minute)
		r.Tick(t.Context())
		said("in time", "plant")
	}
	if at := r.node(t, "web-1").Presence; at != report.Live {
		t.Errorf("the node is %s by the word of its hub", at)
	}
	r.pass(proof - 20*time.Minute + time.Second)
	said("too long after its own last word", "plant", "web-1")
	r.checkIn(t, report.CheckIn{Node: "web-1", Hub: "plant"})
	said("after its own word", "plant")
	r.Interval = time.Minute
	said("with an interval it was not told", "plant", "web-1")
	if _, err := r.HubReport(t.Context(), "web-1", report.HubReport{Hub: "web-1"}); !errors.Is(err, api.ErrForbidden) {
		t.Errorf("a node speaks for others: %v", err)
	}
	r.checkIn(t, report.CheckIn{Node: "web-1", Hub: "plant"})
	must(t, r.Retire(t.Context(), "web-1"))
	said("of a node that was retired", "plant", "web-1")
}

// A hub that is not heard of is one problem and one event, not one for each node behind it.
func TestADarkHubIsOneProblem(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.hub(t, "plant")
	for _, name := range []string{"web-1", "web-2", "web-3"} {
		r.join(t, name)
		r.checkIn(t, report.CheckIn{Node: name, Hub: "plant"})
	}
	r.hubReport(t, "plant")
	r.Tick(t.Context())
	r.listenUntil(t, r.Now().Add(4*half))
	if kinds := r.problemKinds(t); !slices.Equal(kinds, []string{"dark"}) {
		t.Errorf("the problems are %v", kinds)
	}
	if st := r.status(t); st.Presences.Stale != 3 || len(st.Hubs) != 1 || st.Hubs[0].Nodes != 3 {
		t.Errorf("the status does not show who is not heard of: %+v", st)
	}
	if kinds := r.eventKinds(t, "plant"); !slices.Contains(kinds, "hub.dark") {
		t.Errorf("the events of the hub are %v", kinds)
	}
	if kinds := r.eventKinds(t, "web-1"); slices.Contains(kinds, "node.stale") {
		t.Errorf("the events of a node behind it are %v", kinds)
	}
	r.hubReport(t, "plant", "web-1", "web-2")
	r.Tick(t.Context())
	if kinds := r.problemKinds(t); !slices.Equal(kinds, []string{"stale"}) {
		t.Errorf("one node is still silent, the problems are %v", kinds)
	}
}

// relayRig is a service on loopback with a hub, a node, and a request of that node to relay.
type relayRig struct {
	*rig
	url  string
	hub  *api.AgentClient
	key  identity.NodeKey // of web-1
	next int64
}

func newRelayRig(t *testing.T) *relayRig {
	t.Helper()
	r := &relayRig{rig: newRig(t), next: time.Now().UnixMilli()}
	r.url = r.listen(t).URL
	key, answer := r.rig.hub(t, "plant")
	cert, err := key.Certificate([]byte(answer.Certificate))
	must(t, err)
	r.hub, err = api.NewAgentClient(api.AgentOptions{URL: r.url, Node: "plant", Roots: r.ca.Pool(), Key: key, Counter: &counter{time.Now().UnixMilli()}, Now: time.Now,
		Certificate: func() (*tls.Certificate, error) { return &cert, nil }})
	must(t, err)
	t.Cleanup(r.hub.Close)
	r.key = r.join(t, "web-1")
	return r
}

// request is one that the node signed at a time, and the hub received then.
func (r *relayRig) request(t *testing.T, path string, doc any, at time.Time) api.Relayed {
	t.Helper()
	body, err := json.Marshal(doc)
	must(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+path, bytes.NewReader(body))
	must(t, err)
	r.next++
	must(t, identity.Sign(req, body, r.key.Signer(), identity.Stamp{KeyID: "web-1", Counter: r.next, Created: at}))
	return api.RelayedOf(req, body, "plant", false, at)
}

// relay hands it on and returns the code of the refusal, "" if there was none.
func (r *relayRig) relay(t *testing.T, req api.Relayed) string {
	t.Helper()
	said, err := r.hub.Relay(t.Context(), req)
	must(t, err)
	if refusal, ok := errors.AsType[*api.Error](said.Err()); ok {
		return refusal.Code
	}
	return ""
}

// What a hub hands on counts as the word of the node: once, unaltered, and uploads also long after.
func TestWhatAHubMayHandOn(t *testing.T) {
	t.Parallel()
	r := newRelayRig(t)
	now, day := time.Now(), 24*time.Hour
	checkIn := r.request(t, "/v1/checkin", report.CheckIn{Node: "web-1", Hub: "elsewhere"}, now)
	upload := r.request(t, "/v1/runs", api.RunsRequest{Runs: []report.Run{{ID: "1", Node: "web-1", Started: now, Results: []report.Result{{ID: "motd/file:/etc/motd", Outcome: report.Changed}}}}}, now.Add(-20*day))
	altered := func(with func(*api.Relayed)) api.Relayed {
		out := r.request(t, "/v1/checkin", report.CheckIn{Node: "web-1"}, now)
		with(&out)
		return out
	}
	for _, c := range []struct {
		what string
		req  api.Relayed
		want string
	}{
		{"a check-in", checkIn, ""},
		{"the same again", checkIn, "replay"},
		{"an upload that waited for twenty days", upload, ""},
		{"the same again", upload, ""},
		{"an upload that waited for 31 days", r.request(t, "/v1/runs", api.RunsRequest{}, now.Add(-31*day)), "clock"},
		{"a check-in whose receipt is dated back", altered(func(q *api.Relayed) { q.Received = now.Add(-time.Hour) }), "clock"},
		{"a receipt in the future", altered(func(q *api.Relayed) { q.Received = now.Add(time.Hour) }), "clock"},
		{"an altered body", altered(func(q *api.Relayed) { q.Body = append(slices.Clone(q.Body), ' ') }), "content-digest"},
		{"another path", altered(func(q *api.Relayed) { q.Path = "/v1/facets" }), "signature"},
		{"no signature", altered(func(q *api.Relayed) { q.Signature, q.Input, q.Digest = "", "", "" }), "signature"},
		{"a hub that is none", altered(func(q *api.Relayed) { q.Hub = "../plant" }), "bad-request"},
		{"what another node says", r.request(t, "/v1/checkin", report.CheckIn{Node: "web-2"}, now), "wrong-node"},
	} {
		if got := r.relay(t, c.req); got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
	}
	n := r.node(t, "web-1")
	if n.Hub != "plant" || len(n.Runs) != 1 {
		t.Errorf("the node is behind %q with %d runs, want plant and one", n.Hub, len(n.Runs))
	}
	must(t, r.Retire(t.Context(), "web-1"))
	if got := r.relay(t, r.request(t, "/v1/checkin", report.CheckIn{Node: "web-1"}, now)); got != "retired" {
		t.Errorf("a retired node behind a hub: %q", got)
	}
}

// A line that loses packets delivers some of them late: a check-in that was overtaken by a newer one is no news.
func TestAnOvertakenCheckInIsNoNews(t *testing.T) {
	t.Parallel()
	r := newRelayRig(t)
	before := r.request(t, "/v1/checkin", report.CheckIn{Node: "web-1", Bundle: older}, time.Now())
	after := r.request(t, "/v1/checkin", report.CheckIn{Node: "web-1", Bundle: current}, time.Now())
	for _, req := range []api.Relayed{after, before} {
		if got := r.relay(t, req); got != "" {
			t.Errorf("it is refused as %s", got)
		}
	}
	if n := r.node(t, "web-1"); n.Bundle != current {
		t.Errorf("the node is taken to have %s", n.Bundle)
	}
}

// Only a hub may relay: a node with the request of another is refused, whatever headers it adds.
func TestANodeIsNoHub(t *testing.T) {
	t.Parallel()
	r := newRelayRig(t)
	key, err := identity.NewNodeKey()
	must(t, err)
	other, _, err := r.agent(t, r.url, "web-2", key)
	must(t, err)
	said, err := other.Relay(t.Context(), r.request(t, "/v1/checkin", report.CheckIn{Node: "web-1"}, time.Now()))
	must(t, err)
	refusedAs(t, "a node that relays", said.Err(), api.ErrWrongNode)
	_, err = other.ReportHub(t.Context(), report.HubReport{Hub: "web-2"})
	refusedAs(t, "a node that reports as a hub", err, api.ErrForbidden)
}

// A liar stands between with the certificate of a hub, and alters what the service answers.
func (r *relayRig) liar(t *testing.T, lie func(doc map[string]any)) string {
	t.Helper()
	key, answer := r.rig.hub(t, "liar")
	cert, err := key.Certificate([]byte(answer.Certificate))
	must(t, err)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var said api.Said
		if err == nil {
			said, err = r.hub.Relay(req.Context(), api.RelayedOf(req, body, "liar", false, time.Now()))
		}
		var doc map[string]any
		if err == nil {
			err = json.Unmarshal(said.Body, &doc)
		}
		if err != nil {
			t.Error(err)
		}
		lie(doc)
		w.WriteHeader(said.Status)
		_ = json.NewEncoder(w).Encode(doc)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: r.ca.Pool()}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

func TestAHubThatLies(t *testing.T) {
	t.Parallel()
	for field, lie := range map[string]any{
		"trustRoot": "cm9vdDI=", "ca": "", "channel": "early", "labels": map[string]string{"role": "vault"}, "fleet": "emca", "certificate": "", "seal": "",
		"node": "web-3", "servers": []string{"http://elsewhere"},
		"registry": []string{"elsewhere/acme"}, "interval": time.Hour, // these it may say
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			r := newRelayRig(t)
			url := r.liar(t, func(doc map[string]any) { doc[field] = lie })
			key, err := identity.NewNodeKey()
			must(t, err)
			_, answer, err := r.agent(t, url, "web-2", key)
			if may := field == "registry" || field == "interval"; may != (err == nil) {
				t.Errorf("got %+v, %v", answer, err)
			}
		})
	}
	t.Run("labels of a check-in", func(t *testing.T) {
		t.Parallel()
		r := newRelayRig(t)
		url := r.liar(t, func(doc map[string]any) {
			if _, enrols := doc["certificate"]; !enrols {
				doc["labels"] = map[string]string{"role": "vault"}
			}
		})
		key, err := identity.NewNodeKey()
		must(t, err)
		node, _, err := r.agent(t, url, "web-2", key)
		must(t, err)
		answer, err := node.CheckIn(t.Context(), report.CheckIn{Node: "web-2"})
		if err != nil || answer.Labels != nil || answer.Interval != half {
			t.Errorf("got %+v, %v", answer, err)
		}
	})
	t.Run("to an operator", func(t *testing.T) {
		t.Parallel()
		r := newRelayRig(t)
		token, err := r.AddOperator(t.Context(), api.Operator{Name: "jane", Role: identity.RoleViewer})
		must(t, err)
		client, err := api.NewOperatorClient(r.liar(t, func(map[string]any) {}), token, time.Now)
		must(t, err)
		defer client.Close()
		if _, err := client.Status(t.Context(), 1); !errors.Is(err, identity.ErrPin) || !strings.Contains(err.Error(), "a hub answers") {
			t.Errorf("an operator talks to a hub: %v", err)
		}
	})
}

// A rollout waits for another run of a machine that was started anew: the word of a hub is no run, so it is asked for the node's own.
func TestTheWordOfAHubIsNoRun(t *testing.T) {
	t.Parallel()
	s := newStaged(t, twoStages())
	s.hub(t, "plant")
	in := report.CheckIn{Node: "web-1", Hub: "plant", Channel: "stable", Bundle: newer, Boot: "a", Run: report.Summary{ID: "1", Counts: report.Counts{OK: 1}}}
	says := func(what, boot, run string, more ...string) {
		t.Helper()
		in.Boot, in.Run.ID = boot, run
		s.checkIn(t, in)
		for range 2 { // steps: of what the first finds out, the second knows
			must(t, s.tickRollouts(t.Context()))
		}
		if got := s.hubReport(t, "plant", "web-1").Verbatim; !slices.Equal(got, more) {
			t.Errorf("%s: it wants to hear %v themselves, want %v", what, got, more)
		}
	}
	says("first", "a", "1")
	says("started anew", "b", "1", "web-1")
	says("with another run", "b", "2")
}
