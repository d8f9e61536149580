package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// relay remembers what a hub was brought, and says what it is told to.
type relay struct {
	mu    sync.Mutex
	took  []string
	said  Said
	admit error
}

func (r *relay) take(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.took = append(r.took, what)
}

func (r *relay) Pass(_ context.Context, q Relayed) (Said, error) {
	r.take("pass " + q.Path + " of " + q.Hub)
	return r.said, nil
}
func (r *relay) Enroll(_ context.Context, q Relayed) (Said, error) {
	r.take("enroll")
	return r.said, nil
}
func (r *relay) CheckIn(_ context.Context, c report.CheckIn, q Relayed) (Said, error) {
	r.take("checkin of " + c.Node)
	return r.said, nil
}
func (r *relay) Keep(from string, many bool, q Relayed) error {
	r.take(fmt.Sprint("keep ", q.Path, " of ", from, many))
	return nil
}
func (r *relay) Admit(string, string) error { return r.admit }

// newHubRig is a rig whose server is that of a hub.
func newHubRig(t *testing.T) (*rig, *relay) {
	t.Helper()
	r, hub := newRig(t), &relay{said: Said{Status: 200, Body: []byte(`{"interval":60000000000}`)}}
	s := httptest.NewUnstartedServer(NewRelayServer(RelayBackend{Relay: hub, Hub: "plant", Fleet: "acme", Log: quiet(), Now: time.Now, Observe: func(string, int, time.Duration) {}}))
	s.TLS = r.ca.NewServer([]string{"127.0.0.1"}, time.Now).TLS()
	s.StartTLS()
	t.Cleanup(s.Close)
	r.server = s
	r.agent, r.admin = r.client(t, node, r.key, &r.cert), r.operator(t, identity.RoleAdmin)
	return r, hub
}

// wantTook compares what reached the hub since the last time.
func (r *relay) wantTook(t *testing.T, what string, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if fmt.Sprint(r.took) != fmt.Sprint(want) {
		t.Errorf("%s: the hub took %q, want %q", what, r.took, want)
	}
	r.took = nil
}

// A node does with a hub what it does with the service; nothing of a stranger is kept.
func TestWhatAHubTakes(t *testing.T) {
	t.Parallel()
	r, hub := newHubRig(t)
	answer, err := r.agent.CheckIn(t.Context(), report.CheckIn{Node: node})
	if err != nil || answer.Interval != time.Minute {
		t.Errorf("a check-in: %+v, %v", answer, err)
	}
	hub.wantTook(t, "a check-in", "checkin of web-1")
	if err := errors.Join(r.agent.Put(t.Context(), report.Run{ID: "1", Node: node}), r.agent.PutFacets(t.Context(), report.Facets{Node: node})); err != nil {
		t.Error(err)
	}
	hub.wantTook(t, "uploads", "keep /v1/runs of web-1false", "keep /v1/facets of web-1false")

	key, err := identity.NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	refusedAs(t, "without a certificate", r.client(t, node, r.key, nil).Put(t.Context(), report.Run{ID: "1"}), ErrUnauthorized)
	refusedAs(t, "with the certificate and not the key", r.client(t, node, key, &r.cert).Put(t.Context(), report.Run{ID: "1"}), ErrSignature)
	refusedAs(t, "in the name of another", r.client(t, "web-2", r.key, &r.cert).Put(t.Context(), report.Run{ID: "1"}), ErrWrongNode)
	_, err = r.agent.CheckIn(t.Context(), report.CheckIn{Node: "web-2"})
	refusedAs(t, "about another", err, ErrWrongNode)
	_, err = r.admin.Status(t.Context(), 1)
	refusedAs(t, "an operator", err, ErrNotFound)
	r.now = func() time.Time { return time.Now().Add(time.Hour) }
	if err := r.agent.Put(t.Context(), report.Run{ID: "1"}); err != nil {
		t.Errorf("with a clock that is wrong, of which it was told: %v", err)
	}
	hub.wantTook(t, "what was signed again by the clock of the hub", "keep /v1/runs of web-1false")
	r.now = time.Now
	hub.admit = ErrTooMany
	refusedAs(t, "too often", r.agent.Put(t.Context(), report.Run{ID: "1"}), ErrTooMany)
	hub.wantTook(t, "what is refused")
}

// What the service said goes through as it was said, refusals too; what is not of a service is no answer.
func TestWhatAHubHandsBack(t *testing.T) {
	t.Parallel()
	r, hub := newHubRig(t)
	refusal, err := json.Marshal(struct {
		Error *Error `json:"error"`
	}{Refuse(ErrRetired, "web-1 was retired on Monday")})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		said Said
		want *Error
	}{
		{"a refusal", Said{Status: 403, Body: refusal}, ErrRetired},
		{"the page of a proxy", Said{Status: 502, Body: []byte("<html>")}, ErrBusy},
		{"a page that says it is well", Said{Status: 200, Body: []byte("<html>")}, ErrBusy},
	} {
		hub.said = c.said
		_, err := r.agent.CheckIn(t.Context(), report.CheckIn{Node: node})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %s", c.what, err, c.want.Code)
		}
	}
	hub.said = Said{Status: 429, Retry: "7", Body: []byte(`{"error":{"code":"too-many","message":"slowly"}}`)}
	_, err = r.agent.CheckIn(t.Context(), report.CheckIn{Node: node})
	if own, ok := errors.AsType[*Error](err); !ok || own.Retry != 7*time.Second {
		t.Errorf("when to come back is lost: %v", err)
	}
}

// Who relays says when and where a request came in; that is believed of a hub only.
func TestRelayedOf(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	req := r.signed(t, "/v1/checkin", "{}")
	before := time.Now().Add(-time.Hour).UTC().Round(0)
	req.Header.Set(headerReceived, before.Format(time.RFC3339Nano))
	req.Header.Set(headerHub, "hall")
	if got := RelayedOf(req, []byte("{}"), "plant", true, time.Now()); !got.Received.Equal(before) || got.Hub != "hall" || got.Signature == "" {
		t.Errorf("of a hub: %+v", got)
	}
	if got := RelayedOf(req, []byte("{}"), "plant", false, time.Now()); got.Hub != "plant" || time.Since(got.Received) > time.Minute {
		t.Errorf("of a node that pretends: %+v", got)
	}
}
