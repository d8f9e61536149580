package browser

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/signin"
	"vigo.dev/pkg/signin/signintest"
	"vigo.dev/pkg/up"
)

// ssoFleet is a fleet that lets people in through an identity provider.
func ssoFleet(t *testing.T) (*fleet, *signintest.Issuer) {
	t.Helper()
	issuer, err := signintest.New(person("sre"), time.Now)
	must(t, err)
	t.Cleanup(issuer.Close)
	probe, err := net.Listen("tcp", "127.0.7.1:0") // an address that nobody else takes ports of, since the provider must know it before
	must(t, err)
	address := probe.Addr().String()
	must(t, probe.Close())
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "ca.pem"), issuer.CAPEM(), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "oidc.yaml"), fmt.Appendf(nil, `
issuer: %s
clientID: vigo
ca: %s
dashboard: https://%s
roles:
  - {claim: groups, value: platform, role: admin}
  - {claim: groups, value: sre, role: operator}
`, issuer.URL, filepath.Join(dir, "ca.pem"), address), 0o600))
	conf, err := signin.ReadConfig(filepath.Join(dir, "oidc.yaml"))
	must(t, err)
	provider, err := signin.NewProvider(conf, time.Now)
	must(t, err)
	issuer.Register("https://" + address + signin.BackPath)
	f := newFleetWith(t, func(c *up.Config) { c.Listen, c.OIDC, c.SignIn = address, provider, provider.Web() })
	f.pin += "," + pinOf(issuer.Certificate())
	return f, issuer
}

func person(group string) map[string]any {
	return map[string]any{"email": "jane@example.com", "email_verified": true, "groups": []string{group}}
}

// logins are the roles of those who are logged in through the provider.
func (f *fleet) logins(t *testing.T) (roles []identity.Role, ids []string) {
	t.Helper()
	list, err := f.client.AccessTokens(t.Context())
	must(t, err)
	for _, a := range list {
		if a.Kind == "login" && a.Operator == "oidc:jane@example.com" {
			roles, ids = append(roles, a.Role), append(ids, a.ID)
		}
	}
	return roles, ids
}

// TestIdentityProvider has somebody log in through a provider, with the role that the rules of the service give, as with `vigo login`; and
// be outside again by a logout, and when an admin says so.
func TestIdentityProvider(t *testing.T) {
	t.Parallel()
	chromium(t)
	f, issuer := ssoFleet(t)
	f.publish(t, note("production", time.Hour))
	f.join(t, "web-1", "production", nil).checkIn(t)
	tb := newTab(t, f)
	tb.open("/ui/nodes?name=web")
	tb.click(".login a.button")
	tb.await("the page that was wanted", `location.pathname + location.search === "/ui/nodes?name=web" && document.querySelector(".who") !== null`)
	if who := eval[string](tb, `document.querySelector(".who span").innerText`); !strings.Contains(who, "oidc:jane@example.com operator") {
		t.Errorf("logged in is %s", who)
	}
	if script := eval[string](tb, "document.cookie"); script != "" {
		t.Errorf("a script sees the cookie %s", script)
	}
	if got := tb.cookies(); !slices.Equal(got, []string{"__Host-vigo secure httpOnly Strict"}) {
		t.Errorf("the browser has kept %q", got)
	}
	if roles, _ := f.logins(t); !slices.Equal(roles, []identity.Role{identity.RoleOperator}) {
		t.Errorf("the service knows of %v", roles)
	}
	tb.clean("the login")
	tb.open("/ui/audit")
	tb.expect("403")
	tb.click(".login a") // back to the overview
	tb.click(".who button")
	if roles, _ := f.logins(t); len(roles) != 0 {
		t.Errorf("after the logout the service knows of %v", roles)
	}

	issuer.Be(person("platform"))
	tb.click(".login a.button")
	tb.await("an admin", `document.querySelector('nav a[href="/ui/audit"]') !== null`)
	tb.await("the stream", `document.getElementById("link").textContent === "Live."`)
	_, ids := f.logins(t)
	for _, id := range ids {
		must(t, f.client.RevokeAccess(t.Context(), id))
	}
	tb.await("the page to log in", `location.pathname === "/ui/login"`)
	tb.expect("") // that the stream, or the page, is refused
}

// TestIdentityProviderRefuses who said no there, who has no role here, and an answer that belongs to another login.
func TestIdentityProviderRefuses(t *testing.T) {
	t.Parallel()
	chromium(t)
	f, issuer := ssoFleet(t)
	tb := newTab(t, f)
	refused := func(what, says, code string) {
		t.Helper()
		if text := tb.text(); !strings.Contains(text, says) || eval[bool](tb, `document.querySelector(".who") !== null`) {
			t.Errorf("%s: %s", what, text)
		}
		tb.expect(code)
	}
	issuer.Be(person("staff"))
	tb.open("/ui/login")
	tb.click(".login a.button")
	refused("somebody without a role", "no rule here gives a role", "403")
	tb.open("/ui/login/back?code=stolen&state=guessed")
	refused("an answer that nobody asked for", "no login was begun in this browser", "401")
	issuer.Be(person("platform"))
	issuer.Deny()
	tb.open("/ui/login")
	tb.click(".login a.button")
	refused("somebody who says no", "the person said no", "401")
	if roles, _ := f.logins(t); len(roles) != 0 {
		t.Errorf("logged in are %v", roles)
	}
	issuer.Close()
	tb.open("/ui/login")
	tb.click(".login a.button")
	refused("a provider that is down", "identity provider", fmt.Sprint(api.ErrProvider.Status))
	tb.clean("the refusals")
}

// cookies are those that the browser keeps, by their names and by who gets them.
func (tb *tab) cookies() []string {
	tb.t.Helper()
	var list []string
	tb.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		got, err := cdp.Call(ctx, target, network.GetCookies, network.GetCookiesParams{})
		if err != nil {
			return err
		}
		for _, c := range got.Cookies {
			text := c.Name
			if c.Secure {
				text += " secure"
			}
			if c.HTTPOnly {
				text += " httpOnly"
			}
			list = append(list, text+" "+string(c.SameSite))
		}
		return nil
	}))
	return list
}
