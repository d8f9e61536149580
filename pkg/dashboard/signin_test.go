package dashboard

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
)

// provider is an identity provider: whoever brings the state of the login is who the code says.
type provider struct {
	home   string
	secret string // that the last login was begun with
	down   bool
}

func (p *provider) Home() string { return p.home }

func (p *provider) Begin(_ context.Context, secret string) (string, error) {
	if p.down {
		return "", api.ErrProvider
	}
	p.secret = secret
	return "https://id.example.com/authorize?state=1", nil
}

func (p *provider) Finish(_ context.Context, secret string, back url.Values) (string, error) {
	if secret != p.secret || back.Get("state") != "1" {
		return "", api.Refuse(api.ErrUnauthorized, "this belongs to another login")
	}
	return back.Get("code"), nil
}

// TestProviderLetsIn sends a browser to the provider and takes whom that has let in, with the role that it comes to here.
func TestProviderLetsIn(t *testing.T) {
	t.Parallel()
	w := newWorld("text")
	r := newRig(t, w)
	resp, body := r.get(t, "/ui/login?next=/ui/nodes?name=a")
	if !strings.Contains(body, `href="`+beginPath+`?next=%2Fui%2Fnodes%3Fname%3Da"`) {
		t.Errorf("the page to log in: %s\n%s", resp.Status, body)
	}
	resp, _ = r.get(t, beginPath+"?next=/ui/nodes?name=a")
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "https://id.example.com/authorize?state=1" || len(resp.Cookies()) != 1 {
		t.Fatalf("the login begins with %s %v", resp.Status, resp.Header)
	}
	if c := resp.Cookies()[0]; c.Name != attemptCookie || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.MaxAge > 600 || strings.Contains(c.Value, "state") {
		t.Errorf("the cookie of the login is %+v", c)
	}
	resp, body = r.get(t, backPath+"?state=1&code=operator")
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, `content="0;url=/ui/nodes?name=a"`) {
		t.Fatalf("back from the provider: %s\n%s", resp.Status, body)
	}
	for _, c := range resp.Cookies() {
		if c.Name == cookieName && (!c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode) || c.Name == attemptCookie && c.MaxAge >= 0 {
			t.Errorf("a cookie is %+v", c)
		}
	}
	if _, body := r.get(t, "/ui/"); !strings.Contains(body, "</b> operator") {
		t.Errorf("who is logged in:\n%s", body)
	}
	if resp, _ := r.get(t, "/ui/audit"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("the audit log: %s", resp.Status)
	}
	if resp, _ := r.post(t, "/ui/logout", nil); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("logging out: %s", resp.Status)
	}
	if _, err := w.AccessToken("login of operator"); err == nil {
		t.Error("the login is valid after the logout")
	}
}

// TestProviderLetsNobodyIn who did not begin the login in this browser, or for whom there is no rule; and each refusal is audited.
func TestProviderLetsNobodyIn(t *testing.T) {
	t.Parallel()
	w := newWorld("text")
	r := newRig(t, w)
	for what, c := range map[string]struct {
		begin  bool
		query  string
		status int
		says   string
	}{
		"nothing was begun":      {false, "state=1&code=admin", http.StatusUnauthorized, "no login was begun"},
		"another login":          {true, "state=2&code=admin", http.StatusUnauthorized, "another login"},
		"nothing at all":         {true, "", http.StatusUnauthorized, "another login"},
		"somebody without rules": {true, "state=1&code=mallory", http.StatusForbidden, "no rule for"},
	} {
		if c.begin {
			r.get(t, beginPath)
		}
		resp, body := r.get(t, backPath+"?"+c.query)
		if resp.StatusCode != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %s\n%s", what, resp.Status, body)
		}
		for _, cookie := range resp.Cookies() {
			if cookie.MaxAge >= 0 {
				t.Errorf("%s: a cookie %+v", what, cookie)
			}
		}
	}
	if n := strings.Count(strings.Join(r.refused, ";"), "GET "+backPath); n != 4 {
		t.Errorf("the audit log was told of %d: %v", n, r.refused)
	}
	r.get(t, beginPath)
	if resp, _ := r.get(t, backPath+"?state=1&code=admin"); resp.StatusCode != http.StatusOK {
		t.Fatalf("a login: %s", resp.Status)
	}
	if resp, _ := r.get(t, backPath+"?state=1&code=admin"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the same once more: %s", resp.Status)
	}
	w.provider.down = true
	if resp, body := r.get(t, beginPath); resp.StatusCode != api.ErrProvider.Status || !strings.Contains(body, `name="token"`) {
		t.Errorf("a provider that is down: %s\n%s", resp.Status, body)
	}
}

// TestProviderAndRoles has each role come to what it comes to with a token.
func TestProviderAndRoles(t *testing.T) {
	t.Parallel()
	for role, want := range map[identity.Role]int{identity.RoleViewer: http.StatusForbidden, identity.RoleOperator: http.StatusForbidden, identity.RoleAdmin: http.StatusOK} {
		r := newRig(t, newWorld("text"))
		r.get(t, beginPath)
		r.get(t, backPath+"?state=1&code="+string(role))
		if resp, _ := r.get(t, "/ui/nodes"); resp.StatusCode != http.StatusOK {
			t.Errorf("the nodes for a %s: %s", role, resp.Status)
		}
		if resp, _ := r.get(t, "/ui/audit"); resp.StatusCode != want {
			t.Errorf("the audit log for a %s: %s", role, resp.Status)
		}
	}
}
