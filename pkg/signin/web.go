package signin

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"vigo.dev/pkg/api"
)

// BackPath is where the provider sends a browser back to, below the address of the dashboard.
const BackPath = "/ui/login/back"

// A Web logs people in who look at the dashboard (authorization code with PKCE). It keeps nothing: what belongs to one login
// comes from a secret that only the browser holds, so that the browser may come back to another replica.
type Web struct {
	conf Config
	flow Flow
}

// Web returns the way in for browsers; nil when the configuration does not say where the dashboard is.
func (p *Provider) Web() *Web {
	if p.conf.Dashboard == "" {
		return nil
	}
	return &Web{p.conf, Flow{Offer: p.Offer(), Client: p.client, Now: p.now}}
}

// Home is the address of the dashboard for people: https://HOST[:PORT].
func (w *Web) Home() string { return w.conf.Dashboard }

// attempt is what one login is known by: the state to the browser, the nonce to the ID token, the verifier to the code.
type attempt struct{ state, nonce, verifier string }

// attemptOf derives them from the secret of the browser, each of which says nothing of the others or of the secret.
func attemptOf(secret string) (attempt, error) {
	if len(secret) < 26 {
		return attempt{}, errors.New("the secret of a login is too short")
	}
	var a attempt
	for name, to := range map[string]*string{"state": &a.state, "nonce": &a.nonce, "verifier": &a.verifier} {
		key, err := hkdf.Key(sha256.New, []byte(secret), nil, "vigo login "+name, sha256.Size)
		if err != nil {
			return a, err
		}
		*to = base64.RawURLEncoding.EncodeToString(key)
	}
	return a, nil
}

func (w *Web) start(ctx context.Context) (context.Context, *oidc.Provider, oauth2.Config, error) {
	ctx, provider, conf, err := w.flow.start(ctx)
	conf.RedirectURL = w.conf.Dashboard + BackPath
	if err != nil {
		return ctx, nil, conf, unreached(err)
	}
	return ctx, provider, conf, nil
}

// Begin returns the address of the provider for a login with a secret of at least 128 random bits; [api.ErrProvider].
func (w *Web) Begin(ctx context.Context, secret string) (string, error) {
	a, err := attemptOf(secret)
	if err != nil {
		return "", err
	}
	_, provider, conf, err := w.start(ctx)
	if err != nil {
		return "", err
	}
	if u, err := url.Parse(provider.Endpoint().AuthURL); err != nil || u.Scheme != "https" {
		return "", unreached(fmt.Errorf("the identity provider has its page for logging in at %q, which is not https", provider.Endpoint().AuthURL))
	}
	return conf.AuthCodeURL(a.state, oidc.Nonce(a.nonce), oauth2.S256ChallengeOption(a.verifier)), nil
}

// Finish exchanges what a browser has brought back for an ID token; [api.ErrUnauthorized] when it belongs to another login, or
// the provider did not let the person in, [api.ErrProvider] when that cannot be asked.
func (w *Web) Finish(ctx context.Context, secret string, back url.Values) (string, error) {
	a, err := attemptOf(secret)
	if err != nil {
		return "", refusedLogin(err)
	}
	if subtle.ConstantTimeCompare([]byte(back.Get("state")), []byte(a.state)) != 1 {
		return "", refusedLogin(errors.New("the answer of the identity provider belongs to another login"))
	}
	if iss := back.Get("iss"); iss != "" && iss != w.conf.Issuer { // RFC 9207
		return "", refusedLogin(errors.New("the answer is of another identity provider"))
	}
	if reason := back.Get("error"); reason != "" || back.Get("code") == "" {
		return "", refusedLogin(fmt.Errorf("the identity provider says %.60q %.200q", reason, back.Get("error_description")))
	}
	ctx, provider, conf, err := w.start(ctx)
	if err != nil {
		return "", err
	}
	token, err := conf.Exchange(ctx, back.Get("code"), oauth2.VerifierOption(a.verifier))
	if err != nil {
		if said, ok := errors.AsType[*oauth2.RetrieveError](err); ok && said.Response.StatusCode < http.StatusInternalServerError {
			return "", refusedLogin(fmt.Errorf("the identity provider does not take the code: %.60q", said.ErrorCode))
		}
		return "", unreached(err)
	}
	raw, err := w.flow.idToken(ctx, provider, token, a.nonce)
	if errors.Is(err, errReach) {
		return "", unreached(err)
	}
	if err != nil {
		return "", refusedLogin(err)
	}
	return raw, nil
}

func refusedLogin(err error) error {
	e := api.Refuse(api.ErrUnauthorized, "%.300s", err)
	e.Advice = "log in again"
	return e
}
