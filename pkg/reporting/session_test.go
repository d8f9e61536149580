package reporting

import (
	"errors"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
)

// TestSessions are good for some hours, never longer than the token they were opened with, and survive a restart.
func TestSessions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token, err := r.AddOperator(t.Context(), api.Operator{Name: "ada", Role: identity.RoleViewer})
	must(t, err)
	further, err := r.CreateAccess(t.Context(), api.AccessToken{Operator: "ada", Role: identity.RoleViewer, Created: noon, Expires: noon.Add(time.Hour)})
	must(t, err)
	long, err := r.OpenSession(t.Context(), token)
	must(t, err)
	brief, err := r.OpenSession(t.Context(), further.Token)
	must(t, err)
	if !long.Expires.Equal(noon.Add(sessionLife)) || !brief.Expires.Equal(further.Expires) || long.Token == token {
		t.Errorf("the sessions are %+v and %+v", long.AccessToken, brief.AccessToken)
	}
	if _, err := r.OpenSession(t.Context(), long.Token); !errors.Is(err, api.ErrForbidden) {
		t.Errorf("a session opens another one: %v", err)
	}
	good := func(token string, want bool) {
		t.Helper()
		if who, err := r.Operator(token); (err == nil) != want || want && who != (api.Operator{Name: "ada", Role: identity.RoleViewer}) || !want && !errors.Is(err, api.ErrUnauthorized) {
			t.Errorf("%+v, %v", who, err)
		}
	}
	r.restart(t, time.Second)
	good(long.Token, true)
	good(brief.Token, true)
	must(t, r.RevokeAccess(t.Context(), further.ID))
	good(brief.Token, false)
	good(long.Token, true)
	r.pass(sessionLife)
	good(long.Token, false)

	again, err := r.OpenSession(t.Context(), token)
	must(t, err)
	must(t, r.RemoveOperator(t.Context(), "ada"))
	good(again.Token, false)
	if _, err := r.OpenSession(t.Context(), token); !errors.Is(err, api.ErrUnauthorized) {
		t.Errorf("who was removed opens a session: %v", err)
	}
}

// TestSessionsAreBounded for each token, and who only publishes has none.
func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token, err := r.AddOperator(t.Context(), api.Operator{Name: "ada", Role: identity.RoleViewer})
	must(t, err)
	for range maxSessions {
		_, err := r.OpenSession(t.Context(), token)
		must(t, err)
	}
	if _, err := r.OpenSession(t.Context(), token); !errors.Is(err, api.ErrTooMany) {
		t.Errorf("one more than the limit: %v", err)
	}
	publisher, err := r.AddOperator(t.Context(), api.Operator{Name: "controller", Role: identity.RolePublisher})
	must(t, err)
	if _, err := r.OpenSession(t.Context(), publisher); !errors.Is(err, api.ErrForbidden) {
		t.Errorf("a publisher: %v", err)
	}
}
