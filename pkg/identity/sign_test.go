package identity

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// seen counts for one node, as the report service does.
type seen struct {
	mu sync.Mutex
	w  Window
}

func (s *seen) Accept(_ string, counter int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.w.Accept(counter) {
		return ErrReplay
	}
	return nil
}

func keysOf(known map[string]NodeKey) Keys {
	return func(node string) (ed25519.PublicKey, error) {
		if key, ok := known[node]; ok {
			return key.Public(), nil
		}
		return nil, errors.New("unknown node")
	}
}

func signed(t *testing.T, key NodeKey, body string, s Stamp) *http.Request {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, "/v1/checkin", strings.NewReader(body))
	if err := Sign(req, []byte(body), key.Signer(), s); err != nil {
		t.Fatal(err)
	}
	return req
}

// TestSignatureBase is the layout of RFC 9421 section 2.5: one line a component, the parameters last, no line feed at the
// end. The digest is that of RFC 9530.
func TestSignatureBase(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	req := signed(t, key, `{"hello": "world"}`, Stamp{KeyID: "web-1", Counter: 42, Created: time.Unix(1618884473, 0)})
	want := `"@method": POST
"@path": /v1/checkin
"content-digest": sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:
"@signature-params": ("@method" "@path" "content-digest");created=1618884473;nonce="42";keyid="web-1";alg="ed25519"`
	got := signatureBase(req.Method, req.URL.EscapedPath(), req.Header.Get("Content-Digest"), strings.TrimPrefix(req.Header.Get("Signature-Input"), "vigo="))
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	_, sig, err := Proof{Digest: req.Header.Get("Content-Digest"), Input: req.Header.Get("Signature-Input"), Signature: req.Header.Get("Signature")}.parts()
	if err != nil || !ed25519.Verify(key.Public(), []byte(want), sig) {
		t.Errorf("the signature is not over these bytes: %v", err)
	}
}

// TestVerify accepts a request once.
func TestVerify(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	keys, counters := keysOf(map[string]NodeKey{"web-1": key}), &seen{}
	stamp := Stamp{KeyID: "web-1", Counter: 1, Created: noon}
	got, err := Verify(signed(t, key, "{}", stamp), []byte("{}"), keys, counters, noon)
	if err != nil || got.KeyID != stamp.KeyID || got.Counter != 1 || !got.Created.Equal(noon) {
		t.Fatalf("%+v: %v", got, err)
	}
	if _, err := Verify(signed(t, key, "{}", stamp), []byte("{}"), keys, counters, noon); !errors.Is(err, ErrReplay) {
		t.Errorf("the same again: %v", err)
	}
	// What is refused for another reason uses up no counter.
	stamp.Counter = 2
	forged := signed(t, newKey(t), "{}", stamp)
	if _, err := Verify(forged, []byte("{}"), keys, counters, noon); !errors.Is(err, ErrSignature) {
		t.Errorf("signed by another key: %v", err)
	}
	if _, err := Verify(signed(t, key, "{}", stamp), []byte("{}"), keys, counters, noon); err != nil {
		t.Errorf("after a forgery with its counter: %v", err)
	}
}

// TestVerifySkew accepts clocks that are off by at most five minutes either way.
func TestVerifySkew(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	for off, ok := range map[time.Duration]bool{0: true, Skew: true, -Skew: true, Skew + time.Second: false, -Skew - time.Second: false} {
		req := signed(t, key, "{}", Stamp{KeyID: "web-1", Counter: 1, Created: noon.Add(off)})
		_, err := Verify(req, []byte("{}"), keysOf(map[string]NodeKey{"web-1": key}), &seen{}, noon)
		if ok && err != nil || !ok && !errors.Is(err, ErrSkew) {
			t.Errorf("a clock off by %s: %v", off, err)
		}
	}
}

// TestVerifyRefuses everything that was altered on the way.
func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	key, other := newKey(t), newKey(t)
	known := keysOf(map[string]NodeKey{"web-1": key, "web-2": other})
	replace := func(header, old, new string) func(*http.Request) {
		return func(r *http.Request) {
			was := r.Header.Get(header)
			if r.Header.Set(header, strings.Replace(was, old, new, 1)); r.Header.Get(header) == was {
				panic("nothing was altered")
			}
		}
	}
	double := func(header string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Add(header, r.Header.Get(header)) }
	}
	for name, c := range map[string]struct {
		alter func(r *http.Request)
		body  string
		want  error
	}{
		"method":                      {func(r *http.Request) { r.Method = http.MethodPut }, "", ErrSignature},
		"path":                        {func(r *http.Request) { r.URL.Path = "/v1/runs" }, "", ErrSignature},
		"path, written otherwise":     {func(r *http.Request) { r.URL.RawPath = "/v1/check%69n" }, "", ErrSignature},
		"query":                       {func(r *http.Request) { r.URL.RawQuery = "a=b" }, "", ErrSignature},
		"body":                        {nil, `{"node":"web-2"}`, ErrDigest},
		"body and its digest":         {func(r *http.Request) { r.Header.Set(headerDigest, contentDigest([]byte("x"))) }, "x", ErrSignature},
		"digest of another kind":      {replace(headerDigest, "sha-256", "sha-512"), "", ErrDigest},
		"counter":                     {replace(headerInput, `nonce="7"`, `nonce="8"`), "", ErrSignature},
		"counter below one":           {replace(headerInput, `nonce="7"`, `nonce="-7"`), "", ErrSignature},
		"counter beyond 64 bits":      {replace(headerInput, `nonce="7"`, `nonce="99999999999999999999"`), "", ErrSignature},
		"time":                        {replace(headerInput, "created=1", "created=2"), "", ErrSignature},
		"other node":                  {replace(headerInput, "web-1", "web-2"), "", ErrSignature},
		"name that is none":           {replace(headerInput, "web-1", "../1"), "", ErrSignature},
		"algorithm":                   {replace(headerInput, "ed25519", "hmac-sha256"), "", ErrSignature},
		"no path covered":             {replace(headerInput, ` "@path"`, ""), "", ErrSignature},
		"no digest covered":           {replace(headerInput, ` "content-digest"`, ""), "", ErrSignature},
		"nothing covered":             {replace(headerInput, `"@method" "@path" "content-digest"`, ""), "", ErrSignature},
		"components in another order": {replace(headerInput, `"@method" "@path"`, `"@path" "@method"`), "", ErrSignature},
		"another parameter":           {func(r *http.Request) { r.Header.Set(headerInput, r.Header.Get(headerInput)+`;tag="x"`) }, "", ErrSignature},
		"a parameter twice":           {func(r *http.Request) { r.Header.Set(headerInput, r.Header.Get(headerInput)+`;nonce="9"`) }, "", ErrSignature},
		"another label":               {replace(headerInput, "vigo=", "sig1="), "", ErrSignature},
		"signature under other label": {replace(headerSignature, "vigo=", "sig1="), "", ErrSignature},
		"second signature":            {func(r *http.Request) { r.Header.Set(headerSignature, r.Header.Get(headerSignature)+", x=:AA==:") }, "", ErrSignature},
		"signature cut":               {func(r *http.Request) { r.Header.Set(headerSignature, "vigo=:AAAA:") }, "", ErrSignature},
		"signature of zeros":          {func(r *http.Request) { r.Header.Set(headerSignature, "vigo=:"+strings.Repeat("A", 86)+"==:") }, "", ErrSignature},
		"no digest":                   {func(r *http.Request) { r.Header.Del(headerDigest) }, "", ErrSignature},
		"no input":                    {func(r *http.Request) { r.Header.Del(headerInput) }, "", ErrSignature},
		"no signature":                {func(r *http.Request) { r.Header.Del(headerSignature) }, "", ErrSignature},
		"two digests":                 {double(headerDigest), "", ErrSignature},
		"two inputs":                  {double(headerInput), "", ErrSignature},
		"two signatures":              {double(headerSignature), "", ErrSignature},
		"endless header":              {func(r *http.Request) { r.Header.Set(headerInput, strings.Repeat("x", MaxHeader+1)) }, "", ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := `{"node":"web-1"}`
			req := signed(t, key, body, Stamp{KeyID: "web-1", Counter: 7, Created: noon})
			if c.alter != nil {
				c.alter(req)
			}
			if c.body != "" {
				body = c.body
			}
			counters := &seen{}
			if _, err := Verify(req, []byte(body), known, counters, noon); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if counters.w.Highest() != 0 {
				t.Error("the counter was used up")
			}
		})
	}
}

// TestSignQuery does not sign what the signature would not cover.
func TestSignQuery(t *testing.T) {
	t.Parallel()
	req := httptest.NewRequest(http.MethodGet, "/v1/status?problems=1", nil)
	if err := Sign(req, nil, newKey(t).Signer(), Stamp{KeyID: "web-1", Counter: 1, Created: noon}); !errors.Is(err, ErrSignature) {
		t.Errorf("a query was signed: %v", err)
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add("vigo_abcdefghij." + strings.Repeat("a", 32) + "." + strings.Repeat("0", 64))
	f.Add("vigoop_..")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSecret(text)
		if err != nil {
			if !errors.Is(err, ErrToken) {
				t.Errorf("%v", err)
			}
			return
		}
		if s.Text() != strings.TrimSpace(text) {
			t.Errorf("%q was read as %q", text, s.Text())
		}
	})
}

// FuzzParseParams accepts only what prints back the same, so that there is one form to sign.
func FuzzParseParams(f *testing.F) {
	f.Add((Stamp{KeyID: "web-1", Counter: 7, Created: noon}).params())
	f.Add(components + `;created=1;nonce="1";keyid="a";alg="ed25519"`)
	f.Fuzz(func(t *testing.T, params string) {
		s, err := parseParams(params)
		if err == nil && (s.params() != params || s.Counter <= 0 || CheckName(s.KeyID) != nil) {
			t.Errorf("%q was read as %+v", params, s)
		}
	})
}

// FuzzVerify never accepts headers that the key did not make.
func FuzzVerify(f *testing.F) {
	_, private, err := ed25519.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{7}, 64)))
	if err != nil {
		f.Fatal(err)
	}
	body := []byte("{}")
	req := httptest.NewRequest(http.MethodPost, "/v1/checkin", bytes.NewReader(body))
	if err := Sign(req, body, private, Stamp{KeyID: "web-1", Counter: 7, Created: noon}); err != nil {
		f.Fatal(err)
	}
	good := [3]string{req.Header.Get(headerDigest), req.Header.Get(headerInput), req.Header.Get(headerSignature)}
	f.Add(good[0], good[1], good[2])
	f.Add(good[0], good[1], strings.Replace(good[2], "=:", "=:\n", 1))
	f.Fuzz(func(t *testing.T, digest, input, signature string) {
		r := httptest.NewRequest(http.MethodPost, "/v1/checkin", bytes.NewReader(body))
		r.Header = http.Header{headerDigest: {digest}, headerInput: {input}, headerSignature: {signature}}
		_, err := VerifyStamp(r, body, func(string) (ed25519.PublicKey, error) { return private.Public().(ed25519.PublicKey), nil })
		if err == nil && [3]string{digest, input, signature} != good {
			t.Errorf("accepted %q %q %q", digest, input, signature)
		}
	})
}

func FuzzParseCSR(f *testing.F) {
	key, err := NewNodeKey()
	if err != nil {
		f.Fatal(err)
	}
	data, err := key.CSR("web-1")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if csr, public, err := ParseCSR(data); err == nil && (csr == nil || len(public) != ed25519.PublicKeySize) {
			t.Error("accepted without a key")
		}
	})
}

// restored has lost what it had counted until a moment.
type restored struct {
	seen
	at time.Time
}

func (r *restored) Forgot() time.Time { return r.at }

// TestVerifyForgotten refuses what may have been seen by a service that was restored from a backup since; what changes
// nothing when it comes again is not refused for it.
func TestVerifyForgotten(t *testing.T) {
	t.Parallel()
	key, counters := newKey(t), &restored{at: noon}
	verify := func(counter int64, created time.Time) error {
		_, err := Verify(signed(t, key, "{}", Stamp{KeyID: "web-1", Counter: counter, Created: created}), []byte("{}"), keysOf(map[string]NodeKey{"web-1": key}), counters, noon.Add(time.Second))
		return err
	}
	if err := verify(7, noon.Add(-time.Second)); !errors.Is(err, ErrReplay) || !strings.Contains(err.Error(), "restored from a backup") {
		t.Errorf("signed before the restore: %v", err)
	}
	if err := verify(7, noon); err != nil {
		t.Errorf("signed since: %v", err)
	}
	spooled := Stamp{KeyID: "web-1", Counter: 6, Created: noon.Add(-time.Hour)}
	if err := FreshRelayed(spooled, counters, noon.Add(-time.Hour), noon, false); !errors.Is(err, ErrReplay) {
		t.Errorf("kept by a hub since before: %v", err)
	}
	if err := FreshRelayed(spooled, counters, noon.Add(-time.Hour), noon, true); err != nil {
		t.Errorf("a report that a hub kept since before: %v", err)
	}
}
