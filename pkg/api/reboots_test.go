package api

import (
	"encoding/json"
	"testing"
	"time"

	"vigo.dev/pkg/lease"
	"vigo.dev/pkg/rollout"
)

// A hub hands the question for a turn on. It can make up that a node has one, or show an answer that the node was given before:
// neither is taken.
func TestAHubMakesUpATurn(t *testing.T) {
	t.Parallel()
	r, hub := newHubRig(t)
	asks := RebootClient{AgentClient: r.agent, CA: r.ca.CertPEM()}
	ask := lease.Ask{Node: node, Boot: "1", Group: "db", AtOnce: rollout.Share{Nodes: 1}, Term: time.Hour}
	before, err := SealReboot(lease.Answer{Node: node, Nonce: "of another day", Granted: true}, r.ca)
	if err != nil {
		t.Fatal(err)
	}
	for what, answer := range map[string]lease.Answer{"made up": {Node: node, Granted: true}, "of before": before} {
		if hub.said.Body, err = json.Marshal(answer); err != nil {
			t.Fatal(err)
		}
		if got, err := asks.AskReboot(t.Context(), ask); err == nil {
			t.Errorf("%s: %+v is taken", what, got)
		}
		hub.wantTook(t, what, "pass /v1/reboot of plant")
	}
}

// What is sealed is the node, the question and whether it was granted: none of them can be altered.
func TestASealedTurn(t *testing.T) {
	t.Parallel()
	r, _ := newHubRig(t)
	ask := lease.Ask{Node: node, Nonce: "n"}
	good, err := SealReboot(lease.Answer{Node: node, Nonce: "n", Granted: false, Why: "1 of 1 place taken"}, r.ca)
	if err != nil || checkReboot(good, ask, r.ca.CertPEM()) != nil {
		t.Fatal(err)
	}
	for what, edit := range map[string]func(*lease.Answer){
		"granted": func(a *lease.Answer) { a.Granted = true }, "another node": func(a *lease.Answer) { a.Node = "web-2" },
		"another question": func(a *lease.Answer) { a.Nonce = "m" }, "no seal": func(a *lease.Answer) { a.Seal = nil },
	} {
		altered := good
		edit(&altered)
		if checkReboot(altered, ask, r.ca.CertPEM()) == nil {
			t.Errorf("%s: it is taken", what)
		}
	}
}
