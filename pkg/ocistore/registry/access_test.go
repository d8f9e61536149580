package registry_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/ocistore/registry"
	"vigo.dev/pkg/trust"
)

const repository = "vigo/bundles"

// directory is a fleet of two operators and what the authority has vouched for.
type directory struct{}

func (directory) Token(token, _ string) (registry.Caller, error) {
	switch token {
	case "guessed-often":
		return registry.Caller{}, fmt.Errorf("wait: %w", registry.ErrLater)
	case "viewer", "operator", "admin", "publisher":
		return registry.Caller{Name: "jane", Role: identity.Role(token)}, nil
	}
	return registry.Caller{}, errors.New("the token is nobody's")
}

func (directory) Certificate(cert *x509.Certificate) (registry.Caller, error) {
	p, err := identity.MemberOf(cert, "acme")
	return registry.Caller{Name: p.Name, Role: p.Role}, err
}

// incidents are what a registry told of.
type incidents struct {
	mu   sync.Mutex
	list []registry.Incident
}

func (i *incidents) hear(one registry.Incident) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.list = append(i.list, one)
}

// opened is a registry with one bundle and a channel in it.
type opened struct {
	*registry.Registry
	store  bundle.Store
	target bundle.Descriptor // the bundle
	heard  incidents
}

func open(t *testing.T, o registry.Options) *opened {
	t.Helper()
	var r opened
	o.Directory, o.Listener = directory{}, r.hear
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	var err error
	if r.Registry, err = registry.New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	if r.store, err = r.Store(t.Context(), repository); err != nil {
		t.Fatal(err)
	}
	r.target = r.put(t, r.store, bundle.Manifest{ArtifactType: "application/vnd.vigo.bundle.v1", Config: blob(t, r.store, "{}")})
	if err := r.store.Tag(t.Context(), r.target, "channel-stable"); err != nil {
		t.Fatal(err)
	}
	return &r
}

func (r *opened) hear(i registry.Incident) { r.heard.hear(i) }

func blob(t *testing.T, s bundle.Store, text string) bundle.Descriptor {
	t.Helper()
	d := bundle.DescriptorOf("application/octet-stream", []byte(text))
	if err := s.Push(t.Context(), d, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return d
}

func (r *opened) put(t *testing.T, s bundle.Store, m bundle.Manifest) bundle.Descriptor {
	t.Helper()
	data := rendered(t, m)
	d := bundle.DescriptorOf(bundle.ManifestMediaType, data)
	if err := s.Push(t.Context(), d, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	return d
}

func rendered(t *testing.T, m bundle.Manifest) []byte {
	t.Helper()
	m.SchemaVersion, m.MediaType = 2, bundle.ManifestMediaType
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// ask sends a request as somebody: a token, "cert:ROLE" for a certificate of the fleet, or nobody.
func (r *opened) ask(t *testing.T, who, method, path string, body []byte) *http.Response {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, "https://vigo.example.com/v2/"+path, bytes.NewReader(body))
	if len(body) > 0 {
		req.Header.Set("Content-Type", bundle.ManifestMediaType)
	}
	req.TLS = &tls.ConnectionState{}
	if role, ok := strings.CutPrefix(who, "cert:"); ok {
		cert := certificate(t, role)
		req.TLS.PeerCertificates, req.TLS.VerifiedChains = []*x509.Certificate{cert}, [][]*x509.Certificate{{cert}}
	} else if who != "" {
		req.SetBasicAuth("anybody", who)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w.Result()
}

func certificate(t *testing.T, role string) *x509.Certificate {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	fleet := "acme"
	if other, ok := strings.CutPrefix(role, "other-"); ok {
		fleet, role = "other", other
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "web-1"}, URIs: []*url.URL{{Scheme: "vigo", Host: fleet, Path: "/" + role + "/web-1"}}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// code is the error code in the body of an answer, as the distribution specification has it.
func code(t *testing.T, res *http.Response) string {
	t.Helper()
	var body struct {
		Errors []struct{ Code, Message string }
	}
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) == 0 {
		return ""
	}
	if err := json.Unmarshal(data, &body); err != nil || len(body.Errors) != 1 || body.Errors[0].Message == "" {
		return "" // content
	}
	return body.Errors[0].Code
}

// TestWhoMayDoWhat is the whole matrix: who asks, by how the registry is set up, and what becomes of it.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	const ok, unauthorized, denied, later, unsupported = "", "401 UNAUTHORIZED", "403 DENIED", "429 TOOMANYREQUESTS", "405 UNSUPPORTED"
	for _, who := range []struct{ who, pull, anyone, push, remove string }{
		{"", unauthorized, ok, unauthorized, unauthorized},
		{"nonsense", unauthorized, unauthorized, unauthorized, unauthorized},
		{"guessed-often", later, later, later, later},
		{"viewer", ok, ok, denied, unsupported},
		{"publisher", ok, ok, denied, unsupported},
		{"operator", ok, ok, ok, unsupported},
		{"admin", ok, ok, ok, unsupported},
		{"cert:node", ok, ok, denied, unsupported},
		{"cert:hub", ok, ok, denied, unsupported},
		{"cert:viewer", ok, ok, denied, unsupported},
		{"cert:operator", ok, ok, ok, unsupported},
		{"cert:admin", ok, ok, ok, unsupported},
		{"cert:service", unauthorized, ok, unauthorized, unauthorized},
		{"cert:other-node", unauthorized, ok, unauthorized, unauthorized},
		{"cert:other-admin", unauthorized, ok, unauthorized, unauthorized},
	} {
		t.Run(who.who, func(t *testing.T) {
			t.Parallel()
			fleet, anyone := open(t, registry.Options{FleetOnly: true}), open(t, registry.Options{})
			signature := signatureOf(t, fleet)
			for _, c := range []struct {
				r                  *opened
				method, path, want string
				body               []byte
			}{
				{fleet, "GET", "", who.pull, nil},
				{fleet, "GET", repository + "/manifests/channel-stable", who.pull, nil},
				{fleet, "HEAD", repository + "/manifests/channel-stable", who.pull, nil},
				{fleet, "GET", repository + "/blobs/" + bundle.DigestOf([]byte("{}")), who.pull, nil},
				{fleet, "GET", repository + "/tags/list", who.pull, nil},
				{fleet, "GET", repository + "/referrers/" + fleet.target.Digest, who.pull, nil},
				{anyone, "GET", repository + "/manifests/channel-stable", who.anyone, nil},
				{anyone, "GET", repository + "/blobs/" + bundle.DigestOf([]byte("{}")), who.anyone, nil},
				{fleet, "POST", repository + "/blobs/uploads/", who.push, nil},
				{fleet, "PUT", repository + "/manifests/" + bundle.DigestOf(signature), who.push, signature},
				{anyone, "POST", repository + "/blobs/uploads/", who.push, nil},
				{fleet, "DELETE", repository + "/manifests/channel-stable", who.remove, nil},
				{fleet, "DELETE", repository + "/blobs/" + bundle.DigestOf([]byte("{}")), who.remove, nil},
			} {
				res := c.r.ask(t, who.who, c.method, c.path, c.body)
				got := ""
				if res.StatusCode >= 400 {
					got = fmt.Sprintf("%d %s", res.StatusCode, code(t, res))
				}
				if got != c.want {
					t.Errorf("%s %s (fleet only: %v): %q, want %q", c.method, c.path, c.r.FleetOnly, got, c.want)
				}
				if challenged := res.Header.Get("WWW-Authenticate") != ""; challenged != (res.StatusCode == 401) {
					t.Errorf("%s %s: status %d, asked for credentials: %v", c.method, c.path, res.StatusCode, challenged)
				}
			}
		})
	}
}

// signatureOf is a manifest that an operator may push, whose blobs are there.
func signatureOf(t *testing.T, r *opened) []byte {
	t.Helper()
	return rendered(t, bundle.Manifest{ArtifactType: bundle.SignatureMediaType, Config: blob(t, r.store, "{}"),
		Layers: []bundle.Descriptor{blob(t, r.store, "signature")}, Subject: &r.target})
}

// asked is the request that a channel be given the bundle, and the digest of its payload.
func asked(t *testing.T, r *opened, channel string) []byte {
	t.Helper()
	payload, err := trust.Request{Fleet: "acme", Channel: channel, Bundle: bundle.Target{Digest: r.target.Digest, Size: r.target.Size},
		Requested: time.Unix(1e9, 0)}.Payload()
	if err != nil {
		t.Fatal(err)
	}
	return rendered(t, bundle.Manifest{ArtifactType: trust.PromotionType, Config: blob(t, r.store, "{}"), Layers: []bundle.Descriptor{blob(t, r.store, string(payload))}})
}

// orderOf is an order of modes for a channel.
func orderOf(t *testing.T, r *opened, channel string) []byte {
	t.Helper()
	payload, err := trust.Order{Fleet: "acme", Channel: channel, Modes: map[string]bool{"dr": true}, From: trust.Base{Epoch: 1, Seq: 1, Digest: r.target.Digest}, Given: time.Unix(1e9, 0)}.Payload()
	if err != nil {
		t.Fatal(err)
	}
	return rendered(t, bundle.Manifest{ArtifactType: trust.ModesType, Config: blob(t, r.store, "{}"), Layers: []bundle.Descriptor{blob(t, r.store, string(payload))}})
}

// TestWhatOperatorsPush: requests under their tag and signatures of what is there, and nothing that moves a fleet.
func TestWhatOperatorsPush(t *testing.T) {
	t.Parallel()
	r := open(t, registry.Options{FleetOnly: true})
	signature, request, order := signatureOf(t, r), asked(t, r, "production"), orderOf(t, r, "production")
	of := func(m bundle.Manifest) []byte {
		m.Config = blob(t, r.store, "{}")
		return rendered(t, m)
	}
	gone := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: bundle.DigestOf([]byte("gone")), Size: 4}
	pointer := of(bundle.Manifest{ArtifactType: bundle.PointerType})
	for name, c := range map[string]struct {
		ref  string
		data []byte
		want int
		text string
	}{
		"a signature":                      {bundle.DigestOf(signature), signature, 201, ""},
		"a request":                        {bundle.DigestOf(request), request, 201, ""},
		"a request under its tag":          {"promotion-production", request, 201, ""},
		"a request for another channel":    {"promotion-staging", request, 403, "goes to the tag promotion-production"},
		"a request in place of a channel":  {"channel-production", request, 403, "goes to the tag promotion-production"},
		"an order of modes":                {"modes-production", order, 201, ""},
		"an order for another channel":     {"modes-staging", order, 403, "goes to the tag modes-production"},
		"an order in place of a channel":   {"channel-production", order, 403, "goes to the tag modes-production"},
		"an order of nothing":              {"modes-production", of(bundle.Manifest{ArtifactType: trust.ModesType}), 403, "no order of modes"},
		"a signature with a tag":           {"channel-stable", signature, 403, "given no tag"},
		"a further tag":                    {bundle.DigestOf(signature) + "?tag=channel-stable", signature, 403, "no further tags"},
		"a pointer":                        {"channel-stable", pointer, 403, "neither"},
		"a pointer by digest":              {bundle.DigestOf(pointer), pointer, 403, "neither"},
		"a root document":                  {"root-2", of(bundle.Manifest{ArtifactType: "application/vnd.vigo.root.v1"}), 403, "neither"},
		"a pointer that refers to nothing": {"x", of(bundle.Manifest{ArtifactType: bundle.PointerType, Subject: &r.target}), 403, "neither"},
		"a signature of what is not there": {"x", of(bundle.Manifest{ArtifactType: bundle.SignatureMediaType, Subject: &gone}), 403, "given no tag"},
		"the same by its digest":           {bundle.DigestOf(of(bundle.Manifest{ArtifactType: bundle.SignatureMediaType, Subject: &gone})), of(bundle.Manifest{ArtifactType: bundle.SignatureMediaType, Subject: &gone}), 403, "not here"},
		"a request that asks for nothing":  {"promotion-production", of(bundle.Manifest{ArtifactType: trust.PromotionType}), 403, "no request"},
		"the fallback tag of signatures":   {strings.Replace(r.target.Digest, ":", "-", 1), signature, 403, "given no tag"},
		"no manifest":                      {"x", []byte("{"), 400, "MANIFEST_INVALID"},
		"a manifest that is too large":     {"x", bytes.Repeat([]byte(" "), 1<<20), 413, "SIZE_INVALID"},
	} {
		res := r.ask(t, "operator", "PUT", repository+"/manifests/"+c.ref, c.data)
		data, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != c.want || !strings.Contains(string(data), c.text) {
			t.Errorf("%s: %d %s, want %d with %q", name, res.StatusCode, data, c.want, c.text)
		}
	}
	if d, err := r.store.Resolve(t.Context(), "channel-stable"); err != nil || d.Digest != r.target.Digest {
		t.Errorf("the channel has moved to %v, %v", d, err)
	}
	if res := r.ask(t, "operator", "POST", "vigo/other/blobs/uploads/", nil); res.StatusCode != 403 {
		t.Errorf("an operator begins a repository: %d", res.StatusCode)
	}
	if found, err := r.store.Referrers(context.Background(), r.target, ""); err != nil || len(found) != 1 {
		t.Errorf("the signature is not found by what it signs: %v, %v", found, err)
	}
	pushed := 0
	for _, i := range r.heard.list {
		if i.Code == "" {
			pushed++
		}
		if i.By.Name != "jane" || i.Address == "" || i.Text == "" {
			t.Errorf("told of %+v", i)
		}
	}
	if pushed != 4 {
		t.Errorf("told of %d pushes, want 4", pushed)
	}
}
