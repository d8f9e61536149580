package dashboard

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
)

// A SignIn sends people to an identity provider. What it must know of a login it takes from the secret of the browser.
type SignIn interface {
	// Home is the address people find the dashboard at: https://HOST[:PORT].
	Home() string
	// Begin returns the address of the provider; [api.ErrProvider].
	Begin(ctx context.Context, secret string) (address string, err error)
	// Finish returns an ID token for what the browser brings back; [api.ErrUnauthorized], [api.ErrProvider].
	Finish(ctx context.Context, secret string, back url.Values) (idToken string, err error)
}

// The paths of a login through an identity provider.
const (
	beginPath = "/ui/login/provider"
	backPath  = "/ui/login/back" // registered at the provider
)

// attemptCookie holds the secret of a login and the page that was wanted, until the browser comes back: from another site, which is why
// it is sent along links from there.
const attemptCookie = "__Host-vigo-login"

// attemptLife is how long somebody may take at the provider, in seconds.
const attemptLife = 600

func setAttempt(w http.ResponseWriter, value string) {
	c := &http.Cookie{Name: attemptCookie, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: attemptLife}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// providerLink is where the login through the provider begins: at the address that it sends the browser back to, because the cookie is of
// that address; "" when there is none.
func (d *Dashboard) providerLink(next string) string {
	if d.SignIn == nil {
		return ""
	}
	return d.SignIn.Home() + beginPath + "?" + url.Values{"next": {next}}.Encode()
}

// begin sends a browser to the provider.
func (d *Dashboard) begin(w http.ResponseWriter, r *http.Request) {
	next := wanted(r.URL.Query().Get("next"))
	address, secret, err := func() (string, string, error) {
		if d.SignIn == nil {
			return "", "", api.Refuse(api.ErrNotFound, "this service lets nobody in through an identity provider")
		}
		if err := d.Door.Admit("enroll", address(r)); err != nil {
			return "", "", err
		}
		secret := rand.Text() + rand.Text()
		address, err := d.SignIn.Begin(r.Context(), secret)
		return address, secret, err
	}()
	if err != nil {
		d.failLogin(w, r, next, err)
		return
	}
	setAttempt(w, secret+"."+url.QueryEscape(next))
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// back takes who the provider has let in. The page it answers with leads on by itself: the cookie of the session is not sent on the way
// from another site.
func (d *Dashboard) back(w http.ResponseWriter, r *http.Request) {
	next, answer, err := d.finish(r)
	setAttempt(w, "")
	if err != nil {
		d.failLogin(w, r, next, err)
		return
	}
	setCookie(w, answer.Token)
	d.render(w, r, http.StatusOK, "again", &page{Title: "One moment", Body: next})
}

func (d *Dashboard) finish(r *http.Request) (next string, answer api.AccessAnswer, err error) {
	next = wanted("")
	if d.SignIn == nil {
		return next, answer, api.Refuse(api.ErrNotFound, "this service lets nobody in through an identity provider")
	}
	if err := d.Door.Admit("enroll", address(r)); err != nil {
		return next, answer, err
	}
	cookie, err := r.Cookie(attemptCookie)
	if err != nil {
		e := api.Refuse(api.ErrUnauthorized, "no login was begun in this browser within the last ten minutes")
		e.Advice = "log in again; cookies must be allowed"
		return next, answer, e
	}
	secret, escaped, _ := strings.Cut(cookie.Value, ".")
	if kept, err := url.QueryUnescape(escaped); err == nil {
		next = wanted(kept)
	}
	idToken, err := d.SignIn.Finish(r.Context(), secret, r.URL.Query())
	if err != nil {
		return next, answer, err
	}
	answer, err = d.Logins.Login(audit.WithCaller(r.Context(), &audit.Caller{Address: address(r)}), idToken)
	return next, answer, err
}
