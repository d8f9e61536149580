// Package signintest is an OpenID Connect provider for tests: discovery, keys, authorization code with PKCE, and device
// authorization, over real TLS on loopback.
//
// It refuses what a careful provider refuses (a redirect that is not loopback, a code twice, a wrong PKCE verifier), and
// asks nobody for a password: whoever follows the address is Claims.
package signintest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// ClientID is the client the provider knows.
const ClientID = "vigo"

const keyID = "one"

// An Issuer is a running provider.
type Issuer struct {
	*httptest.Server
	key *ecdsa.PrivateKey
	now func() time.Time

	mu     sync.Mutex
	claims map[string]any
	codes  map[string]request // codes that were given out, and devices by their device code
	users  map[string]string  // user code to device code
	denied bool
	known  string // address that it sends browsers back to, beside loopback ones
}

// request is what an authorization was asked for with.
type request struct {
	challenge, nonce, redirect string
	approved                   bool
	claims                     map[string]any
}

// New starts a provider whose one person has these claims beside those of every ID token. Close it.
func New(claims map[string]any, now func() time.Time) (*Issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	i := &Issuer{key: key, now: now, claims: claims, codes: map[string]request{}, users: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /keys", i.keys)
	mux.HandleFunc("GET /authorize", i.authorize)
	mux.HandleFunc("POST /token", i.token)
	mux.HandleFunc("POST /device", i.device)
	mux.HandleFunc("GET /enter", i.enter)
	i.Server = httptest.NewTLSServer(mux)
	return i, nil
}

// CAPEM is the certificate by which the provider is known.
func (i *Issuer) CAPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw})
}

// Be makes the person another one.
func (i *Issuer) Be(claims map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.claims = claims
}

// Register has the provider send browsers back to an address of the client that is not on loopback without TLS.
func (i *Issuer) Register(redirect string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.known = redirect
}

// Deny has the person refuse from now on.
func (i *Issuer) Deny() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.denied = true
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client sees that it is cut
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, map[string]any{
		"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
		"device_authorization_endpoint": i.URL + "/device", "id_token_signing_alg_values_supported": []string{"ES256"},
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
	})
}

func (i *Issuer) keys(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: keyID, Algorithm: "ES256", Use: "sig"}}})
}

// IDToken signs an ID token of the person; edit may change its claims, nil for none.
func (i *Issuer) IDToken(edit func(map[string]any)) (string, error) {
	i.mu.Lock()
	claims := maps.Clone(i.claims)
	i.mu.Unlock()
	return i.sign(i.key, claims, edit)
}

// Forged is an ID token with a signature of another key under the name of the right one.
func (i *Issuer) Forged() (string, error) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	return i.sign(other, i.claims, nil)
}

func (i *Issuer) sign(key *ecdsa.PrivateKey, claims map[string]any, edit func(map[string]any)) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, nil)
	if err != nil {
		return "", err
	}
	now := i.now()
	all := map[string]any{"iss": i.URL, "aud": ClientID, "sub": "4711", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": rand.Text()}
	maps.Copy(all, claims)
	if edit != nil {
		edit(all)
	}
	payload, err := json.Marshal(all)
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

// authorize sends the browser back with a code.
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	i.mu.Lock()
	defer i.mu.Unlock()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || (back.Scheme != "http" || back.Hostname() != "127.0.0.1") && (i.known == "" || back.String() != i.known) || q.Get("client_id") != ClientID ||
		q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("response_type") != "code" {
		http.Error(w, "this is no request of the client", http.StatusBadRequest)
		return
	}
	answer := url.Values{"state": {q.Get("state")}}
	if i.denied {
		answer.Set("error", "access_denied")
		answer.Set("error_description", "the person said no")
	} else {
		code := rand.Text()
		i.codes[code] = request{challenge: q.Get("code_challenge"), nonce: q.Get("nonce"), redirect: back.String(), approved: true, claims: i.claims}
		answer.Set("code", code)
	}
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// device begins a login on another device.
func (i *Issuer) device(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	device, user := rand.Text(), rand.Text()[:8]
	i.codes[device], i.users[user] = request{}, device
	write(w, http.StatusOK, map[string]any{"device_code": device, "user_code": user, "verification_uri": i.URL + "/enter", "expires_in": 60, "interval": 1})
}

// enter is where the person enters the code of a device.
func (i *Issuer) enter(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	device, ok := i.users[r.URL.Query().Get("code")]
	if !ok {
		http.Error(w, "there is no such code", http.StatusNotFound)
		return
	}
	i.codes[device] = request{approved: true, claims: i.claims}
	fmt.Fprintln(w, "the device is logged in")
}

// token exchanges a code, once.
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	code := r.PostFormValue("code")
	device := r.PostFormValue("grant_type") == "urn:ietf:params:oauth:grant-type:device_code"
	if device {
		code = r.PostFormValue("device_code")
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	req, ok := i.codes[code]
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	switch {
	case device && ok && !req.approved:
		write(w, http.StatusBadRequest, map[string]string{"error": "authorization_pending"})
		return
	case !ok, r.PostFormValue("client_id") != ClientID,
		!device && (base64.RawURLEncoding.EncodeToString(sum[:]) != req.challenge || r.PostFormValue("redirect_uri") != req.redirect):
		write(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	delete(i.codes, code)
	id, err := i.sign(i.key, req.claims, func(c map[string]any) {
		if req.nonce != "" {
			c["nonce"] = req.nonce
		}
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	write(w, http.StatusOK, map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 300, "id_token": id})
}
