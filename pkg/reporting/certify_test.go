package reporting

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/hook"
	"vigo.dev/pkg/identity"
)

// The site is asked about a node that may enrol, and about no other; what it says counts for enrolments and renewals, and a
// node that is not approved has used up nothing.
func TestApproval(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url := r.listen(t).URL
	var asked []hook.Request
	verdict := func(hook.Request) error { return nil }
	r.Approve = func(_ context.Context, q hook.Request) error {
		asked = append(asked, q)
		return verdict(q)
	}
	key, err := identity.NewNodeKey()
	must(t, err)
	token := r.tokenFor(t, api.TokenRequest{Names: "web-*", Uses: 1})
	for name, enroll := range map[string]func() error{
		"another name": func() error { _, err := r.enroll(t, key, token, "db-1"); return err },
		"a token of nobody": func() error {
			secret, err := identity.NewSecret(r.ca.Fingerprint(), false)
			must(t, err)
			_, err = r.enroll(t, key, secret.Text(), "web-1")
			return err
		},
	} {
		if err := enroll(); err == nil {
			t.Errorf("%s: enrolled", name)
		}
	}
	if len(asked) > 0 {
		t.Fatalf("asked for who may not enrol: %+v", asked)
	}
	verdict = func(hook.Request) error { return fmt.Errorf("%w: not in the inventory", hook.ErrRefused) }
	_, err = r.enroll(t, key, token, "web-1")
	refusedAs(t, "not approved", err, api.ErrNotApproved)
	verdict = func(hook.Request) error { return errors.New("the inventory is down") }
	_, err = r.enroll(t, key, token, "web-1")
	refusedAs(t, "not decided", err, api.ErrApproval)
	verdict = func(hook.Request) error { return nil }
	if _, err := r.enroll(t, key, token, "web-1"); err != nil {
		t.Errorf("approved, with the same token: %v", err)
	}
	q := asked[len(asked)-1]
	if q.Operation != "enroll" || q.Node != "web-1" || q.Fleet != "acme" || q.Key != identity.KeyID(key.Public()) || q.Token.Names != "web-*" || q.CSR == "" {
		t.Errorf("%+v", q)
	}
	second, err := identity.NewNodeKey()
	must(t, err)
	agent, _, err := r.agent(t, url, "web-2", second)
	must(t, err)
	verdict = func(q hook.Request) error { return fmt.Errorf("%w: %s", hook.ErrRefused, q.Operation) }
	_, err = agent.Renew(t.Context())
	refusedAs(t, "a renewal that is not approved", err, api.ErrNotApproved)
	if q := asked[len(asked)-1]; q.Operation != "renew" || q.Address != "127.0.0.1" || q.Token != nil {
		t.Errorf("%+v", q)
	}
	r.tendAudit(t.Context(), false)
	list, err := r.DB.Audit(t.Context(), audit.Query{Act: audit.Refused})
	if err != nil || len(list) != 1 || list[0].Detail["code"] != "not-approved" {
		t.Errorf("%+v, %v", list, err)
	}
}
