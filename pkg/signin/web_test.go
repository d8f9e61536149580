package signin_test

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/signin"
)

const (
	home    = "https://vigo.example.com:8443"
	secret  = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	another = "MFRGGZDFMZTWQ2LKMFRGGZDFMZTWQ2LK"
)

// visit follows an address of the provider and returns what that sends the browser back with.
func visit(t *testing.T, r *rig, address string) url.Values {
	t.Helper()
	client := r.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	back, err := resp.Location()
	if err != nil || !strings.HasPrefix(back.String(), home+signin.BackPath+"?") {
		t.Fatalf("the provider answers %s and leads to %v, %v", resp.Status, back, err)
	}
	return back.Query()
}

// A browser that was sent to the provider comes back with what the service takes, once, and only for the secret it was sent with.
func TestWeb(t *testing.T) {
	t.Parallel()
	r := newRig(t, "dashboard: "+home)
	r.Register(home + signin.BackPath)
	w := r.Web()
	address, err := w.Begin(t.Context(), secret)
	if err != nil || strings.Contains(address, secret) {
		t.Fatalf("%s, %v", address, err)
	}
	back := visit(t, r, address)
	if _, err := w.Finish(t.Context(), another, back); !errors.Is(err, api.ErrUnauthorized) || !strings.Contains(err.Error(), "another login") {
		t.Errorf("in another browser: %v", err)
	}
	token, err := w.Finish(t.Context(), secret, back)
	if err != nil {
		t.Fatal(err)
	}
	if who, _, err := r.Verify(t.Context(), token); err != nil || who.Name != "jane@example.com" {
		t.Errorf("%+v, %v", who, err)
	}
	if _, err := w.Finish(t.Context(), secret, back); !errors.Is(err, api.ErrUnauthorized) {
		t.Errorf("the same code again: %v", err)
	}
}

// What somebody has changed on the way lets nobody in.
func TestWebRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t, "dashboard: "+home)
	r.Register(home + signin.BackPath)
	w := r.Web()
	begin := func(edit func(string) string) url.Values {
		address, err := w.Begin(t.Context(), secret)
		if err != nil {
			t.Fatal(err)
		}
		return visit(t, r, edit(address))
	}
	same := func(s string) string { return s }
	for name, c := range map[string]struct {
		back url.Values
		says string
	}{
		"another nonce": {begin(func(s string) string { return regexp.MustCompile(`nonce=[^&]*`).ReplaceAllString(s, "nonce=x") }), "another login"},
		"another verifier": {begin(func(s string) string {
			return regexp.MustCompile(`code_challenge=[^&]*`).ReplaceAllString(s, "code_challenge=x")
		}), "invalid_grant"},
		"another issuer": {func() url.Values { v := begin(same); v.Set("iss", "https://evil.example.com"); return v }(), "another identity provider"},
		"a guessed code": {func() url.Values { v := begin(same); v.Set("code", "x"); return v }(), "invalid_grant"},
		"no code":        {func() url.Values { v := begin(same); v.Del("code"); return v }(), "says"},
	} {
		if token, err := w.Finish(t.Context(), secret, c.back); !errors.Is(err, api.ErrUnauthorized) || !strings.Contains(err.Error(), c.says) || token != "" {
			t.Errorf("%s: %v, want %s", name, err, c.says)
		}
	}
	if _, err := w.Begin(t.Context(), "short"); err == nil {
		t.Error("a secret that can be guessed is taken")
	}
	r.Close()
	if _, err := w.Begin(t.Context(), secret); !errors.Is(err, api.ErrProvider) {
		t.Errorf("a provider that is down: %v", err)
	}
	if newRig(t, "").Web() != nil {
		t.Error("without the address of the dashboard there is a way in")
	}
}
