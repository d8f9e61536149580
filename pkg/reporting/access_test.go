package reporting

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
)

func (r *rig) holding(t *testing.T, url, token string) *api.OperatorClient {
	t.Helper()
	c, err := api.NewOperatorClient(url, token, time.Now)
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

// A further token does what its role may until it ends, is revoked, or its operator is changed; also over a restart.
func TestAccessTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url := r.listen(t).URL
	jane := r.operator(t, url, "jane", identity.RoleOperator)
	admin := r.operator(t, url, "root", identity.RoleAdmin)
	screen, err := jane.CreateAccess(t.Context(), api.AccessRequest{Role: identity.RoleViewer, Life: time.Hour, Note: "wall screen"})
	must(t, err)
	ci, err := admin.CreateAccess(t.Context(), api.AccessRequest{Operator: "jane", Life: 2 * time.Hour})
	must(t, err)
	if screen.Operator != "jane" || screen.Kind != "token" || ci.Role != identity.RoleOperator {
		t.Errorf("%+v %+v", screen, ci)
	}
	wall := r.holding(t, url, screen.Token)
	if me, err := wall.Whoami(t.Context()); err != nil || me.Name != "jane" || me.Role != identity.RoleViewer || me.Token.ID != screen.ID || me.Fleet != "acme" {
		t.Errorf("%+v, %v", me, err)
	}
	_, err = wall.CreateToken(t.Context(), api.TokenRequest{})
	refusedAs(t, "more than its role", err, api.ErrForbidden)
	list, err := jane.AccessTokens(t.Context())
	if err != nil || len(list) != 3 || slices.ContainsFunc(list, func(a api.AccessToken) bool { return a.Operator != "jane" }) {
		t.Errorf("one's own: %+v, %v", list, err)
	}
	if all, err := admin.AccessTokens(t.Context()); err != nil || len(all) != 4 {
		t.Errorf("all: %+v, %v", all, err)
	}
	r.keepUses(t.Context())
	r.restart(t, 0)
	used := map[string]bool{}
	all, err := r.AccessTokens(t.Context())
	must(t, err)
	for _, a := range all {
		used[a.ID] = !a.Used.IsZero()
	}
	if !used[screen.ID] || used[ci.ID] {
		t.Errorf("used: %v", used)
	}
	if _, err := r.Operator(screen.Token); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	r.pass(time.Hour)
	_, err = r.Operator(screen.Token)
	refusedAs(t, "past its end", err, api.ErrUnauthorized)
	if !strings.Contains(err.Error(), "expired") {
		t.Errorf("%v", err)
	}
	must(t, r.RevokeAccess(t.Context(), screen.ID))
	refusedAs(t, "revoking twice", r.RevokeAccess(t.Context(), screen.ID), api.ErrNotFound)
	_, err = r.AddOperator(t.Context(), api.Operator{Name: "jane", Role: identity.RoleViewer})
	must(t, err)
	_, err = r.Operator(ci.Token)
	refusedAs(t, "a token of what jane was before", err, api.ErrUnauthorized)
}

// No token makes one that may do more, lives longer, or is somebody else's.
func TestAccessDoesNotGrow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url := r.listen(t).URL
	jane := r.operator(t, url, "jane", identity.RoleOperator)
	admin := r.operator(t, url, "root", identity.RoleAdmin)
	controller := r.operator(t, url, "controller", identity.RolePublisher)
	short, err := jane.CreateAccess(t.Context(), api.AccessRequest{Life: time.Hour})
	must(t, err)
	brief := r.holding(t, url, short.Token)
	for name, c := range map[string]struct {
		by   *api.OperatorClient
		req  api.AccessRequest
		want *api.Error
	}{
		"a greater role":             {jane, api.AccessRequest{Role: identity.RoleAdmin, Life: time.Hour}, api.ErrForbidden},
		"a role of another sort":     {jane, api.AccessRequest{Role: identity.RolePublisher, Life: time.Hour}, api.ErrForbidden},
		"a role that is none":        {admin, api.AccessRequest{Role: identity.RoleNode, Life: time.Hour}, api.ErrForbidden},
		"more than its operator may": {admin, api.AccessRequest{Operator: "jane", Role: identity.RoleAdmin, Life: time.Hour}, api.ErrForbidden},
		"of somebody else":           {jane, api.AccessRequest{Operator: "root", Life: time.Hour}, api.ErrForbidden},
		"of nobody":                  {admin, api.AccessRequest{Operator: "nonesuch", Life: time.Hour}, api.ErrNotFound},
		"for ever":                   {jane, api.AccessRequest{}, api.ErrBadRequest},
		"for two years":              {jane, api.AccessRequest{Life: 2 * api.MaxAccessLife}, api.ErrBadRequest},
		"longer than itself":         {brief, api.AccessRequest{Life: 2 * time.Hour}, api.ErrForbidden},
		"of a controller":            {controller, api.AccessRequest{Life: time.Hour}, api.ErrForbidden},
		"a long note":                {jane, api.AccessRequest{Life: time.Hour, Note: strings.Repeat("x", 300)}, api.ErrTooLarge},
	} {
		_, err := c.by.CreateAccess(t.Context(), c.req)
		refusedAs(t, name, err, c.want)
	}
	all, err := admin.AccessTokens(t.Context())
	must(t, err)
	for _, a := range all {
		if a.Operator == "root" {
			refusedAs(t, "revoking that of somebody else", jane.RevokeAccess(t.Context(), a.ID), api.ErrNotFound)
			refusedAs(t, "revoking what an operator is made of", admin.RevokeAccess(t.Context(), a.ID), api.ErrNotFound)
		}
	}
	must(t, jane.RevokeAccess(t.Context(), short.ID))
	_, err = brief.Whoami(t.Context())
	refusedAs(t, "revoked, on an open connection", err, api.ErrUnauthorized)
	must(t, admin.RemoveOperator(t.Context(), "jane"))
	_, err = jane.Whoami(t.Context())
	refusedAs(t, "removed", err, api.ErrUnauthorized)
}

// vouching stands for an identity provider: the token is the name.
type vouching struct{}

func (vouching) Offer() api.LoginOffer { return api.LoginOffer{Issuer: "https://id.example.com"} }

func (vouching) Verify(_ context.Context, idToken string) (api.Operator, time.Duration, error) {
	if idToken == "" {
		return api.Operator{}, 0, api.ErrUnauthorized
	}
	return api.Operator{Name: idToken, Role: identity.RoleAdmin}, time.Hour, nil
}

// Who an identity provider vouches for is let in for a time, under a name that no operator of the service can have, and
// cannot stay longer by making tokens.
func TestLogin(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url := r.listen(t).URL
	visitor, err := api.NewVisitor(url, r.ca.Fingerprint(), time.Now)
	must(t, err)
	defer visitor.Close()
	_, err = visitor.LoginOffer(t.Context())
	refusedAs(t, "a service without a provider", err, api.ErrNotFound)
	_, err = visitor.Login(t.Context(), "jane")
	refusedAs(t, "a service without a provider", err, api.ErrNotFound)
	r.OIDC = vouching{}
	_, err = r.AddOperator(t.Context(), api.Operator{Name: "jane", Role: identity.RoleViewer})
	must(t, err)
	_, err = visitor.Login(t.Context(), "")
	refusedAs(t, "a token that is refused", err, api.ErrUnauthorized)
	answer, err := visitor.Login(t.Context(), "jane")
	if err != nil || answer.Operator != "oidc:jane" || answer.Kind != "login" || answer.Role != identity.RoleAdmin {
		t.Fatalf("%+v, %v", answer, err)
	}
	jane := r.holding(t, url, answer.Token)
	_, err = jane.CreateAccess(t.Context(), api.AccessRequest{Life: time.Minute})
	refusedAs(t, "a token of oneself", err, api.ErrForbidden)
	if _, err := jane.CreateAccess(t.Context(), api.AccessRequest{Operator: "jane", Life: time.Minute}); err != nil {
		t.Errorf("an admin makes one for an operator: %v", err)
	}
	if list, err := jane.ListOperators(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	must(t, r.RemoveOperator(t.Context(), "jane")) // another one
	_, err = jane.Whoami(t.Context())
	must(t, err)
	r.restart(t, 0)
	if _, err := r.Operator(answer.Token); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	list, err := r.DB.Audit(t.Context(), audit.Query{Act: audit.LoggedIn})
	if err != nil || len(list) != 1 || list[0].Actor != "oidc:jane" || list[0].Address != "127.0.0.1" {
		t.Errorf("%+v, %v", list, err)
	}
	r.pass(time.Hour)
	_, err = r.Operator(answer.Token)
	refusedAs(t, "past its end", err, api.ErrUnauthorized)
	r.pass(expiredKeep + time.Minute)
	r.prune(t.Context())
	if all, err := r.DB.Operators(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
	text, err := json.Marshal(answer.AccessToken)
	if err != nil || strings.Contains(string(text), answer.Token) {
		t.Errorf("%s, %v", text, err)
	}
}

// TestLoginsAreBounded: who may log in cannot fill the store.
func TestLoginsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.OIDC = vouching{}
	_, err := r.Login(t.Context(), "jane")
	must(t, err)
	for range maxLogins {
		r.operators = append(r.operators, r.operators[0])
	}
	_, err = r.Login(t.Context(), "joe")
	refusedAs(t, "one too many", err, api.ErrTooMany)
	r.pass(time.Hour)
	if _, err = r.Login(t.Context(), "joe"); err != nil {
		t.Errorf("after the others: %v", err)
	}
}
