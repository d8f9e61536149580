package signin_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/signin"
	"vigo.dev/pkg/signin/signintest"
)

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// A rig is a provider of identities and one that verifies its tokens.
type rig struct {
	*signintest.Issuer
	*signin.Provider
	clock *clock
	ca    string
}

func jane() map[string]any {
	return map[string]any{"email": "jane@example.com", "email_verified": true, "groups": []string{"staff", "sre"}}
}

func newRig(t *testing.T, more string) *rig {
	t.Helper()
	r := &rig{clock: &clock{at: time.Now()}, ca: filepath.Join(t.TempDir(), "ca.pem")}
	var err error
	if r.Issuer, err = signintest.New(jane(), r.clock.Now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	if err := os.WriteFile(r.ca, r.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	conf, err := read(t, fmt.Sprintf(`
issuer: %s
clientID: vigo
ca: %s
roles:
  - {claim: groups, value: admins, role: admin}
  - {claim: groups, value: sre, role: operator}
  - {claim: department, value: audit, role: viewer}
%s`, r.URL, r.ca, more))
	if err != nil {
		t.Fatal(err)
	}
	if r.Provider, err = signin.NewProvider(conf, r.clock.Now); err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t *testing.T, text string) (signin.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "oidc.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return signin.ReadConfig(path)
}

func (r *rig) token(t *testing.T, edit func(map[string]any)) string {
	t.Helper()
	token, err := r.IDToken(edit)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A token of the provider that was made for us a moment ago lets in who a rule names.
func TestVerify(t *testing.T) {
	t.Parallel()
	r := newRig(t, "session: 2h")
	for name, c := range map[string]struct {
		edit func(map[string]any)
		want api.Operator
	}{
		"the first rule that fits":  {func(c map[string]any) { c["groups"] = []string{"sre", "admins"} }, api.Operator{Name: "jane@example.com", Role: identity.RoleAdmin}},
		"a list":                    {nil, api.Operator{Name: "jane@example.com", Role: identity.RoleOperator}},
		"one string":                {func(c map[string]any) { c["groups"] = nil; c["department"] = "audit" }, api.Operator{Name: "jane@example.com", Role: identity.RoleViewer}},
		"several audiences, for us": {func(c map[string]any) { c["aud"] = []string{"vigo", "wiki"}; c["azp"] = "vigo" }, api.Operator{Name: "jane@example.com", Role: identity.RoleOperator}},
	} {
		who, life, err := r.Verify(t.Context(), r.token(t, c.edit))
		if err != nil || who != c.want || life != 2*time.Hour {
			t.Errorf("%s: %+v for %s, %v", name, who, life, err)
		}
	}
	offer := r.Offer()
	if offer.Issuer != r.URL || offer.ClientID != "vigo" || strings.Join(offer.Scopes, " ") != "openid email" {
		t.Errorf("%+v", offer)
	}
}

// Everything else is refused, and says why.
func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	r, other := newRig(t, ""), newRig(t, "")
	now := r.clock.Now().Unix()
	good := r.token(t, nil)
	head, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	forged, err := r.Forged()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Verify(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	edited := func(key string, value any) string { return r.token(t, func(c map[string]any) { c[key] = value }) }
	for name, c := range map[string]struct {
		token string
		want  *api.Error
		says  string
	}{
		"the same again":               {good, api.ErrUnauthorized, "used before"},
		"another issuer":               {other.token(t, nil), api.ErrUnauthorized, "signature"},
		"another issuer in our name":   {edited("iss", "https://id.example.com"), api.ErrUnauthorized, "different provider"},
		"for another client":           {edited("aud", "wiki"), api.ErrUnauthorized, "audience"},
		"for us and others, not by us": {r.token(t, func(c map[string]any) { c["aud"] = []string{"vigo", "wiki"}; c["azp"] = "wiki" }), api.ErrUnauthorized, "made for"},
		"for several, by nobody":       {edited("aud", []string{"vigo", "wiki"}), api.ErrUnauthorized, "made for"},
		"expired":                      {edited("exp", now-60), api.ErrUnauthorized, "expired"},
		"not valid yet":                {edited("nbf", now+3600), api.ErrUnauthorized, "nbf"},
		"old":                          {edited("iat", now-3600), api.ErrUnauthorized, "issued at"},
		"of the future":                {edited("iat", now+3600), api.ErrUnauthorized, "issued at"},
		"of no time":                   {edited("iat", 0), api.ErrUnauthorized, "issued at"},
		"alg none":                     {b64([]byte(`{"alg":"none"}`)) + "." + payload + ".", api.ErrUnauthorized, ""},
		"alg HS256":                    {b64([]byte(`{"alg":"HS256","kid":"one"}`)) + "." + payload + "." + signature, api.ErrUnauthorized, ""},
		"another key":                  {forged, api.ErrUnauthorized, "signature"},
		"a key nobody has":             {b64([]byte(`{"alg":"ES256","kid":"two"}`)) + "." + payload + "." + signature, api.ErrUnauthorized, "signature"},
		"an altered claim":             {head + "." + b64([]byte(`{"iss":"`+r.URL+`","aud":"vigo","email":"root@example.com"}`)) + "." + signature, api.ErrUnauthorized, ""},
		"no token":                     {"", api.ErrUnauthorized, "malformed"},
		"too long":                     {strings.Repeat("a", 40<<10), api.ErrTooLarge, "bytes"},
		"nobody":                       {edited("email", ""), api.ErrUnauthorized, "names nobody"},
		"two lines for a name":         {edited("email", "a\nb"), api.ErrUnauthorized, "names nobody"},
		"an address nobody verified":   {edited("email_verified", false), api.ErrUnauthorized, "not verified"},
		"no rule":                      {edited("groups", []string{"staff"}), api.ErrForbidden, "no rule"},
		"no claim":                     {edited("groups", nil), api.ErrForbidden, "no rule"},
		"part of a value":              {edited("groups", "sre-but-not-quite"), api.ErrForbidden, "no rule"},
	} {
		who, _, err := r.Verify(t.Context(), c.token)
		if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: %+v, %v; want %s: %s", name, who, err, c.want.Code, c.says)
		}
	}
	r.clock.pass(time.Hour)
	if _, _, err := r.Verify(t.Context(), good); !errors.Is(err, api.ErrUnauthorized) {
		t.Errorf("the same an hour later: %v", err)
	}
}

// A provider that is down is not a token that is bad, and the service knows it when it is back.
func TestProviderDown(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	token := r.token(t, nil)
	r.Close()
	if _, _, err := r.Verify(t.Context(), token); !errors.Is(err, api.ErrProvider) {
		t.Errorf("before it was ever reached: %v", err)
	}
	up := newRig(t, "")
	if _, _, err := up.Verify(t.Context(), up.token(t, nil)); err != nil {
		t.Fatal(err)
	}
	token, err := up.Forged()
	if err != nil {
		t.Fatal(err)
	}
	token = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"new"}`)) + token[strings.Index(token, "."):]
	up.Close()
	if _, _, err := up.Verify(t.Context(), token); !errors.Is(err, api.ErrProvider) {
		t.Errorf("a key that is not known yet: %v", err)
	}
}

// A claim that is no address needs no verification.
func TestOtherName(t *testing.T) {
	t.Parallel()
	r := newRig(t, "name: sub")
	who, life, err := r.Verify(t.Context(), r.token(t, func(c map[string]any) { delete(c, "email_verified") }))
	if err != nil || who.Name != "4711" || life != 8*time.Hour {
		t.Errorf("%+v for %s, %v", who, life, err)
	}
}

// A configuration that would let nobody in, or more than was meant, is refused with its place.
func TestReadConfig(t *testing.T) {
	t.Parallel()
	const rules = "\nroles: [{claim: groups, value: sre, role: operator}]"
	for text, want := range map[string]string{
		"issuer: http://id.example.com\nclientID: v" + rules:                                          "issuer",
		"issuer: id.example.com\nclientID: v" + rules:                                                 "issuer",
		"issuer: https://id.example.com" + rules:                                                      "clientID",
		"issuer: https://id.example.com\nclientID: v":                                                 "roles",
		"issuer: https://id.example.com\nclientID: v\nroles: [{claim: a, value: b, role: publisher}]": "publisher",
		"issuer: https://id.example.com\nclientID: v\nroles: [{claim: a, role: admin}]":               "number 1",
		"issuer: https://id.example.com\nclientID: v\nroles: [{claim: a, value: '', role: admin}]":    "number 1",
		"issuer: https://id.example.com\nclientID: v\nsession: 720h" + rules:                          "session",
		"issuer: https://id.example.com\nclientID: v\ndashboard: vigo.example.com" + rules:            "dashboard",
		"issuer: https://id.example.com\nclientID: v\ndashboard: https://vigo.example.com/ui" + rules: "dashboard",
		"issuer: https://id.example.com\nclientID: v\ndashboard: http://vigo.example.com" + rules:     "dashboard",
		"issuer: https://id.example.com\nclientID: v\nsecret: s" + rules:                              "secret",
		"": "EOF",
	} {
		if _, err := read(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := signin.ReadConfig("/nowhere/oidc.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	conf, err := read(t, "issuer: https://id.example.com\nclientID: v\nscopes: [groups]"+rules)
	if err != nil || strings.Join(conf.Scopes, " ") != "openid groups" {
		t.Errorf("%+v, %v", conf, err)
	}
}

// browser follows what is shown, as a person does.
func browser(t *testing.T, r *rig, edit func(string) string) func(string) {
	t.Helper()
	return func(text string) {
		link := regexp.MustCompile(`https://\S+`).FindString(text)
		if fields := strings.Fields(text); strings.Contains(text, "enter the code") {
			link += "?code=" + fields[len(fields)-1]
		}
		if edit != nil {
			link = edit(link)
		}
		go func() {
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool(r)}}}
			resp, err := client.Get(link)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}()
	}
}

func pool(r *rig) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(r.Certificate())
	return p
}

func (r *rig) flow(t *testing.T, edit func(string) string) signin.Flow {
	t.Helper()
	client, err := signin.NewClient(r.ca)
	if err != nil {
		t.Fatal(err)
	}
	return signin.Flow{Offer: r.Offer(), Client: client, Now: r.clock.Now, Show: browser(t, r, edit)}
}

// Both ways through a browser end with a token that the service takes.
func TestFlows(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	f := r.flow(t, nil)
	for name, get := range map[string]func(context.Context) (string, error){"loopback": f.Loopback, "device": f.Device} {
		token, err := get(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if who, _, err := r.Verify(t.Context(), token); err != nil || who.Name != "jane@example.com" {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
}

// A login that somebody else began, or that was refused, lets nobody in.
func TestFlowRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	stranger, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := r.flow(t, func(link string) string {
		return regexp.MustCompile(`state=[^&]*`).ReplaceAllString(link, "state=another")
	}).Loopback(stranger); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the answer to another login: %v", err)
	}
	if _, err := r.flow(t, func(link string) string {
		return regexp.MustCompile(`nonce=[^&]*`).ReplaceAllString(link, "nonce=another")
	}).Loopback(t.Context()); err == nil || !strings.Contains(err.Error(), "another login") {
		t.Errorf("a token of another login: %v", err)
	}
	if _, err := r.flow(t, func(link string) string {
		return regexp.MustCompile(`code_challenge=[^&]*`).ReplaceAllString(link, "code_challenge=another")
	}).Loopback(t.Context()); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("a code for another verifier: %v", err)
	}
	r.Deny()
	if _, err := r.flow(t, nil).Loopback(t.Context()); err == nil || !strings.Contains(err.Error(), "the person said no") {
		t.Errorf("a person who says no: %v", err)
	}
	unknown := r.flow(t, nil)
	client, err := signin.NewClient("")
	if err != nil {
		t.Fatal(err)
	}
	unknown.Client = client
	if _, err := unknown.Device(t.Context()); err == nil {
		t.Error("a provider with a certificate of nobody is asked")
	}
}
