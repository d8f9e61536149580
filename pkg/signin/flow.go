package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/fault"
)

// A Flow gets an ID token for somebody who sits at a browser.
type Flow struct {
	Offer  api.LoginOffer
	Client *http.Client // see [NewClient]
	Now    func() time.Time
	Show   func(text string) // tells the person what to do
}

// person is how long somebody may take to log in.
const person = 5 * time.Minute

func (f Flow) start(ctx context.Context) (context.Context, *oidc.Provider, oauth2.Config, error) {
	ctx = oidc.ClientContext(ctx, f.Client)
	provider, err := oidc.NewProvider(ctx, f.Offer.Issuer)
	if err != nil {
		return ctx, nil, oauth2.Config{}, fmt.Errorf("asking the identity provider %s: %w", f.Offer.Issuer, err)
	}
	return ctx, provider, oauth2.Config{ClientID: f.Offer.ClientID, Endpoint: provider.Endpoint(), Scopes: f.Offer.Scopes}, nil
}

// idToken takes the ID token out of an answer and checks it as far as the person who logs in is concerned: it is of the
// provider and for this client, and with a nonce, for this very login. The service checks it anew.
func (f Flow) idToken(ctx context.Context, provider *oidc.Provider, token *oauth2.Token, nonce string) (string, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return "", fault.WithHint(errors.New("the identity provider gave no ID token"), "is the scope openid allowed for the client?")
	}
	verifier := provider.VerifierContext(ctx, &oidc.Config{ClientID: f.Offer.ClientID, SupportedSigningAlgs: algorithms(), Now: f.Now})
	checked, err := verifier.Verify(ctx, raw)
	if err != nil {
		return "", fmt.Errorf("checking the ID token: %w", err)
	}
	if nonce != "" && subtle.ConstantTimeCompare([]byte(checked.Nonce), []byte(nonce)) != 1 {
		return "", errors.New("checking the ID token: it was made for another login")
	}
	return raw, nil
}

// Loopback sends the person to the provider with a browser on this machine (authorization code with PKCE, RFC 8252 and
// RFC 7636), and waits on a loopback address for the browser to come back.
func (f Flow) Loopback(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, person)
	defer cancel()
	ctx, provider, conf, err := f.start(ctx)
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("waiting for the browser: %w", err)
	}
	conf.RedirectURL = "http://" + l.Addr().String() + callbackPath
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	back := &callback{state: state, codes: make(chan answer, 1)}
	server := &http.Server{Handler: back, ReadHeaderTimeout: patience, MaxHeaderBytes: 64 << 10}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		shut, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(shut) // the browser has its page, or does not want it
	}()
	f.Show("open this address in a browser on this machine, and log in there:\n  " +
		conf.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)))
	select {
	case a := <-back.codes:
		if a.err != nil {
			return "", a.err
		}
		token, err := conf.Exchange(ctx, a.code, oauth2.VerifierOption(verifier))
		if err != nil {
			return "", fmt.Errorf("exchanging the code: %w", err)
		}
		return f.idToken(ctx, provider, token, nonce)
	case err := <-served:
		return "", fmt.Errorf("waiting for the browser: %w", err)
	case <-ctx.Done():
		return "", fault.WithHint(fmt.Errorf("waiting for the browser: %w", ctx.Err()), "--device works with a browser on another machine")
	}
}

const callbackPath = "/callback"

// answer is what a browser brings back.
type answer struct {
	code string
	err  error
}

// callback takes the one answer that carries the state of this login; others are not of it.
type callback struct {
	state string
	codes chan answer
}

// ServeHTTP implements http.Handler.
func (c *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if r.Method != http.MethodGet || r.URL.Path != callbackPath || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(c.state)) != 1 {
		http.Error(w, "This is not the answer that is waited for.", http.StatusBadRequest)
		return
	}
	a := answer{code: q.Get("code")}
	text := "You are logged in. You can close this window."
	if reason := q.Get("error"); reason != "" || a.code == "" {
		a.err = fmt.Errorf("logging in: the identity provider says %.60q %.200q", reason, q.Get("error_description"))
		text = "You are not logged in."
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintln(w, text) // the browser may be gone
	select {
	case c.codes <- a:
	default: // it came before
	}
}

// Device lets the person log in with a browser on any machine (RFC 8628).
func (f Flow) Device(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, person)
	defer cancel()
	ctx, provider, conf, err := f.start(ctx)
	if err != nil {
		return "", err
	}
	if conf.Endpoint.DeviceAuthURL == "" {
		return "", fault.WithHint(errors.New("the identity provider knows no logins from other devices"), "without --device a browser on this machine is used")
	}
	device, err := conf.DeviceAuth(ctx)
	if err != nil {
		return "", fmt.Errorf("beginning to log in: %w", err)
	}
	f.Show(fmt.Sprintf("open %s in any browser, and enter the code\n  %s", device.VerificationURI, device.UserCode))
	token, err := conf.DeviceAccessToken(ctx, device)
	if err != nil {
		return "", fmt.Errorf("logging in: %w", err)
	}
	return f.idToken(ctx, provider, token, "")
}
