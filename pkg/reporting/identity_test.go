package reporting

import (
	"errors"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// A node that was retired does not come back with its key: not under its name nor another, with no token, and not after the
// service was started anew.
func TestRetiredStaysRetired(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.join(t, "web-1")
	must(t, r.Service.Retire(t.Context(), "web-1"))
	for _, when := range []string{"at once", "after a restart"} {
		for _, name := range []string{"web-1", "web-2"} {
			token := r.tokenFor(t, api.TokenRequest{})
			_, err := r.enroll(t, key, token, name)
			refusedAs(t, when+" as "+name, err, api.ErrRetired)
		}
		_, err := r.NodeKey("web-1")
		refusedAs(t, when+", its key", err, api.ErrRetired)
		csr, err := key.CSR("web-1")
		must(t, err)
		_, err = r.Renew(t.Context(), "web-1", string(csr))
		refusedAs(t, when+", renewing", err, api.ErrRetired)
		refusedAs(t, when+", counting", r.Accept("web-1", 1000), api.ErrRetired)
		r.restart(t, time.Hour)
	}
	list, err := r.ListTokens(t.Context())
	must(t, err)
	for _, g := range list {
		if g.Used > 0 && g.Uses == 0 {
			t.Errorf("an enrolment that was refused has used up a token: %+v", g)
		}
	}
}

// A node that enrols again with its key, as after `vigo-agent enroll --force` of an older backup, gets what the new token says, and
// uses it up; with the token it has it is only answered again.
func TestEnrollingAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key, err := identity.NewNodeKey()
	must(t, err)
	first := r.tokenFor(t, api.TokenRequest{Uses: 1, Channel: "early"})
	for range 2 {
		a, err := r.enroll(t, key, first, "web-1")
		if err != nil || a.Channel != "early" {
			t.Errorf("%+v, %v", a, err)
		}
	}
	other, err := identity.NewNodeKey()
	must(t, err)
	if _, err := r.enroll(t, other, first, "web-2"); !errors.Is(err, identity.ErrUsed) {
		t.Errorf("a token that is used up: %v", err)
	}
	second := r.tokenFor(t, api.TokenRequest{Uses: 1, Channel: "late", Names: "web-*"})
	if a, err := r.enroll(t, key, second, "web-1"); err != nil || a.Channel != "late" {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := r.enroll(t, other, second, "web-2"); !errors.Is(err, identity.ErrUsed) {
		t.Errorf("the second token is used up, too: %v", err)
	}
	if _, err := r.enroll(t, key, r.tokenFor(t, api.TokenRequest{Names: "db-*"}), "web-1"); !errors.Is(err, identity.ErrNotAllowed) {
		t.Errorf("a token for other names: %v", err)
	}
	revoked := r.tokenFor(t, api.TokenRequest{})
	secret, err := identity.ParseSecret(revoked)
	must(t, err)
	must(t, r.RevokeToken(t.Context(), secret.ID))
	if _, err := r.enroll(t, other, revoked, "web-2"); !errors.Is(err, identity.ErrToken) {
		t.Errorf("a revoked token: %v", err)
	}
}

// Clocks may be off by five minutes either way, and not by more.
func TestSkewOverTheNetwork(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url := r.listen(t).URL
	key, err := identity.NewNodeKey()
	must(t, err)
	agent, _, err := r.agent(t, url, "web-1", key)
	must(t, err)
	start := time.Now()
	for off, want := range map[time.Duration]error{
		4 * time.Minute: nil, -4 * time.Minute: nil, 6 * time.Minute: api.ErrSkew, -6 * time.Minute: api.ErrSkew,
	} {
		r.set(start.Add(off))
		if _, err := agent.CheckIn(t.Context(), report.CheckIn{Node: "web-1"}); !errors.Is(err, want) {
			t.Errorf("%s off: %v", off, err)
		}
	}
}
