package reporting

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// TestRetire refuses a node at once, its key for ever, and lets a new key have the name, counting anew.
func TestRetire(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.listen(t)
	key, err := identity.NewNodeKey()
	must(t, err)
	agent, _, err := r.agent(t, s.URL, "web-1", key)
	must(t, err)
	for range 3 {
		if _, err := agent.CheckIn(t.Context(), report.CheckIn{Node: "web-1"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := agent.Renew(t.Context()); err != nil {
		t.Errorf("renewing: %v", err)
	}
	must(t, r.Service.Retire(t.Context(), "web-1"))
	_, err = agent.CheckIn(t.Context(), report.CheckIn{Node: "web-1"})
	refusedAs(t, "checking in on a connection that was open", err, api.ErrRetired)
	_, err = agent.Renew(t.Context())
	refusedAs(t, "renewing", err, api.ErrRetired)
	refusedAs(t, "delivering", agent.Put(t.Context(), report.Run{ID: "1", Node: "web-1"}), api.ErrRetired)
	_, _, err = r.agent(t, s.URL, "web-2", key)
	refusedAs(t, "enrolling the key under another name", err, api.ErrRetired)
	other, err := identity.NewNodeKey()
	must(t, err)
	again, _, err := r.agent(t, s.URL, "web-1", other)
	must(t, err)
	if _, err := again.CheckIn(t.Context(), report.CheckIn{Node: "web-1"}); err != nil {
		t.Errorf("a new machine of the old name: %v", err)
	}
	_, err = agent.CheckIn(t.Context(), report.CheckIn{Node: "web-1"})
	refusedAs(t, "the old machine of the same name", err, api.ErrWrongNode)
	refusedAs(t, "retiring what is not there", r.Service.Retire(t.Context(), "nonesuch"), api.ErrNotFound)
	_, _, err = r.agent(t, s.URL, "web-1", key)
	if err == nil {
		t.Error("the old machine has its name back")
	}
}

// TestEnroll grants labels, and lets nobody name itself otherwise.
func TestEnroll(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key, err := identity.NewNodeKey()
	must(t, err)
	token := r.tokenFor(t, api.TokenRequest{Names: "web-*", Uses: 1, Life: time.Hour, Labels: map[string]string{"role": "web"}, Channel: "early"})
	if _, err := r.enroll(t, key, token, "db-1"); !errors.Is(err, identity.ErrNotAllowed) {
		t.Errorf("a name the token does not allow: %v", err)
	}
	csr, err := key.CSR("web-9")
	must(t, err)
	if _, err := r.Enroll(t.Context(), api.EnrollRequest{Token: token, Node: "web-1", CSR: string(csr)}); !errors.Is(err, identity.ErrCSR) {
		t.Errorf("a request for another name: %v", err)
	}
	a, err := r.enroll(t, key, token, "web-1")
	if err != nil || a.Labels["role"] != "web" || a.Channel != "early" || string(a.TrustRoot) != "root" || a.Registry[0] != "registry/acme" {
		t.Errorf("enrolled: %+v, %v", a, err)
	}
	if _, err := r.enroll(t, key, token, "web-1"); err != nil {
		t.Errorf("the answer was lost: %v", err)
	}
	second, err := identity.NewNodeKey()
	must(t, err)
	_, err = r.enroll(t, second, r.tokenFor(t, api.TokenRequest{}), "web-1")
	refusedAs(t, "a name that is taken", err, api.ErrTaken)
	r.pass(time.Hour)
	if _, err := r.enroll(t, second, token, "web-2"); !errors.Is(err, identity.ErrExpired) {
		t.Errorf("an expired token: %v", err)
	}
	for name, req := range map[string]api.TokenRequest{
		"uses below none":    {Uses: -1},
		"life below none":    {Life: -time.Second},
		"pattern":            {Names: "["},
		"channel":            {Channel: "a/b"},
		"name of a label":    {Labels: map[string]string{"a b": "x"}},
		"two lines in label": {Labels: map[string]string{"a": "x\ny"}},
	} {
		_, err := r.CreateToken(t.Context(), req)
		refusedAs(t, name, err, api.ErrBadRequest)
	}
	refusedAs(t, "revoking what is not there", r.RevokeToken(t.Context(), "nonesuch"), api.ErrNotFound)
}

// TestOperators gives tokens that work until they are replaced or removed, also over a restart.
func TestOperators(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	jane := api.Operator{Name: "jane", Role: identity.RoleViewer}
	first, err := r.AddOperator(t.Context(), jane)
	must(t, err)
	second, err := r.AddOperator(t.Context(), jane)
	must(t, err)
	r.restart(t, 0)
	if _, err := r.Operator(first); !errors.Is(err, api.ErrUnauthorized) {
		t.Errorf("a token that was replaced: %v", err)
	}
	if who, err := r.Operator(second); err != nil || who != jane {
		t.Errorf("%+v, %v", who, err)
	}
	if _, err := r.Operator(r.tokenFor(t, api.TokenRequest{})); !errors.Is(err, api.ErrUnauthorized) {
		t.Errorf("an enrolment token: %v", err)
	}
	must(t, r.RemoveOperator(t.Context(), "jane"))
	if _, err := r.Operator(second); !errors.Is(err, api.ErrUnauthorized) {
		t.Errorf("a token that was removed: %v", err)
	}
	refusedAs(t, "removing twice", r.RemoveOperator(t.Context(), "jane"), api.ErrNotFound)
}

// TestAdmit bounds what one sender may ask in a minute, and leaves the others alone.
func TestAdmit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range perMinute("enroll") {
		if err := r.Admit("enroll", "192.0.2.1"); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	refusedAs(t, "one more", r.Admit("enroll", "192.0.2.1"), api.ErrTooMany)
	for _, other := range [][2]string{{"enroll", "192.0.2.2"}, {"checkin", "192.0.2.1"}} {
		must(t, r.Admit(other[0], other[1]))
	}
	r.pass(time.Minute)
	must(t, r.Admit("enroll", "192.0.2.1"))
	for i := range maxSenders {
		_ = r.Admit("checkin", fmt.Sprint(i)) // until no more can be counted
	}
	refusedAs(t, "a sender beyond those that can be counted", r.Admit("checkin", "new"), api.ErrTooMany)
	must(t, r.Admit("enroll", "192.0.2.1")) // who is counted already may go on
}

// TestReplay survives a restart: a counter that was accepted is not accepted again.
func TestReplay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	must(t, r.Accept("web-1", 90))
	must(t, r.Accept("web-1", 70))
	r.restart(t, 0)
	for _, old := range []int64{90, 89, 70} {
		if err := r.Accept("web-1", old); !errors.Is(err, identity.ErrReplay) {
			t.Errorf("%d after a restart: %v", old, err)
		}
	}
	must(t, r.Accept("web-1", 91))
}

// TestWhoHasJoinedIsTold tells of each node that joins, so that its secrets are sealed at once; not of a hub, which has none, and not of who
// was refused. By then the node is among those that may be sealed to.
func TestWhoHasJoinedIsTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var told []int
	r.Joined = func() {
		list, err := r.Recipients(t.Context())
		must(t, err)
		told = append(told, len(list))
	}
	r.join(t, "web-1")
	key, err := identity.NewNodeKey()
	must(t, err)
	if _, err = r.enroll(t, key, r.tokenFor(t, api.TokenRequest{Uses: 1}), "web-1"); err == nil {
		t.Error("the name of another is given away")
	}
	csr, err := key.CSR("hub-1")
	must(t, err)
	_, err = r.Enroll(t.Context(), api.EnrollRequest{Token: r.tokenFor(t, api.TokenRequest{Uses: 1, Hub: true}), Node: "hub-1", CSR: string(csr), Hub: true})
	must(t, err)
	r.join(t, "web-2")
	if fmt.Sprint(told) != "[1 2]" {
		t.Errorf("told with so many nodes: %v", told)
	}
}
