package dashboard

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
)

// cookieName has the prefix with which browsers take a cookie only over TLS, from this very host.
const cookieName = "__Host-vigo"

// maxForm bounds the body of a form, in bytes.
const maxForm = 8 << 10

// address is where a request comes from, without the port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// session returns the token of the browser, and whose it is; [api.ErrUnauthorized]. Who tries others out is slowed down.
func (d *Dashboard) session(r *http.Request) (string, api.Operator, error) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return "", api.Operator{}, api.ErrUnauthorized
	}
	who, err := d.Door.Operator(cookie.Value)
	if err != nil {
		if busy := d.Door.Admit("operator", address(r)); busy != nil {
			return "", who, busy
		}
	}
	return cookie.Value, who, err
}

// setCookie gives a browser its session; without a value it is taken away. The server knows when it ends: the browser drops
// it at the latest when it is closed.
func setCookie(w http.ResponseWriter, value string) {
	c := &http.Cookie{Name: cookieName, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// maxNext bounds the address of the page that is shown after the login, in bytes: a cookie has room for it.
const maxNext = 1500

// wanted is the page somebody is sent to after the login: one of ours.
func wanted(next string) string {
	u, err := url.Parse(next)
	if err != nil || len(next) > maxNext || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, "/ui/") || strings.HasPrefix(u.Path, "/ui/log") || strings.ContainsAny(next, "\\\r\n") {
		return "/ui/"
	}
	return u.RequestURI()
}

// loginForm is what the page to log in shows.
type loginForm struct {
	Next    string
	Problem string
	Hint    string
	// Provider is where a login through an identity provider begins; "": there is none.
	Provider string
}

func (d *Dashboard) loginPage(w http.ResponseWriter, r *http.Request) {
	next := wanted(r.URL.Query().Get("next"))
	d.render(w, r, http.StatusOK, "login", &page{Title: "Log in", Body: loginForm{Next: next, Provider: d.providerLink(next)}})
}

func (d *Dashboard) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	next := wanted(r.PostFormValue("next"))
	answer, err := func() (api.AccessAnswer, error) {
		if err := d.Door.Admit("operator", address(r)); err != nil {
			return api.AccessAnswer{}, err
		}
		return d.Door.OpenSession(audit.WithCaller(r.Context(), &audit.Caller{Address: address(r)}), strings.TrimSpace(r.PostFormValue("token")))
	}()
	if err != nil {
		d.failLogin(w, r, next, err)
		return
	}
	setCookie(w, answer.Token)
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// failLogin says why somebody is not let in, and keeps that in the audit log.
func (d *Dashboard) failLogin(w http.ResponseWriter, r *http.Request, next string, err error) {
	status, e := d.explain(r, err)
	if errors.Is(err, api.ErrUnauthorized) || errors.Is(err, api.ErrForbidden) {
		d.Auditor.Refused(audit.Caller{Address: address(r)}, r.Method+" "+r.URL.Path, e.Code, e.Message)
	}
	if e.Message == api.ErrUnauthorized.Message {
		e.Message, e.Advice = "This token is not valid here.", "`vigo operator token create` makes one; the file that `vigo login` writes has one too."
	}
	d.render(w, r, status, "login", &page{Title: "Log in", Body: loginForm{Next: next, Problem: e.Message, Hint: e.Advice, Provider: d.providerLink(next)}})
}

// logout ends the session here, not only in the browser.
func (d *Dashboard) logout(w http.ResponseWriter, r *http.Request) {
	token, who, err := d.session(r)
	if err == nil {
		ctx := audit.WithCaller(r.Context(), &audit.Caller{Name: who.Name, Role: string(who.Role), Address: address(r)})
		var known api.AccessToken
		if known, err = d.Door.AccessToken(token); err == nil && (known.Kind == "session" || known.Kind == "login") {
			err = d.Door.RevokeAccess(ctx, known.ID)
		}
	}
	if err != nil && !errors.Is(err, api.ErrUnauthorized) && !errors.Is(err, api.ErrNotFound) {
		d.fail(w, r, &page{Who: who}, err)
		return
	}
	setCookie(w, "")
	http.Redirect(w, r, "/ui/login", http.StatusSeeOther)
}

// allowed is whether a role is among those that may see a page.
func allowed(role identity.Role, roles []identity.Role) bool {
	for _, r := range roles {
		if r == role {
			return true
		}
	}
	return false
}
