package ocistore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/ocistore/registry"
	"vigo.dev/pkg/trust"
)

// serve shows a registry on the loopback interface.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://") + "/fleet/bundles"
}

func open(t *testing.T, ref string, o ocistore.Options) bundle.Store {
	t.Helper()
	s, err := ocistore.Open(t.Context(), ref, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func inside(t *testing.T, r *registry.Registry) bundle.Store {
	t.Helper()
	s, err := r.Store(t.Context(), "fleet/bundles")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAgentsPullWhatTheControllerPushed(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, registry.Options{})
	p := publish(t, inside(t, r))
	if _, err := p.follow(t.Context(), open(t, serve(t, r), ocistore.Options{})); err != nil {
		t.Error(err)
	}
	if _, err := p.follow(t.Context(), open(t, serve(t, withoutReferrers{r}), ocistore.Options{})); err == nil {
		t.Error("signatures were found without the API they are listed by")
	}
}

func TestTheFallbackTagCarriesSignatures(t *testing.T) {
	t.Parallel()
	ref := serve(t, withoutReferrers{newRegistry(t, registry.Options{Token: "s3cret"})})
	p := publish(t, open(t, ref, ocistore.Options{Username: "x", Password: "s3cret"}))
	if _, err := p.follow(t.Context(), open(t, ref, ocistore.Options{})); err != nil {
		t.Error(err)
	}
}

func TestNobodyElsePushesAndNobodyDeletes(t *testing.T) {
	t.Parallel()
	closed, withToken := newRegistry(t, registry.Options{}), newRegistry(t, registry.Options{Token: "s3cret"})
	d := bundle.DescriptorOf(bundle.LayerMediaType, []byte("evil"))
	for name, s := range map[string]bundle.Store{
		"anonymous":          open(t, serve(t, withToken), ocistore.Options{}),
		"wrong password":     open(t, serve(t, withToken), ocistore.Options{Username: "controller", Password: "guess"}),
		"empty password":     open(t, serve(t, closed), ocistore.Options{Username: "controller"}),
		"closed, some token": open(t, serve(t, closed), ocistore.Options{Username: "controller", Password: "s3cret"}),
	} {
		if err := s.Push(t.Context(), d, strings.NewReader("evil")); err == nil {
			t.Errorf("%s pushed", name)
		}
	}
	p := publish(t, inside(t, withToken))
	ref := serve(t, withToken)
	for _, path := range []string{"/manifests/" + p.built.Descriptor.Digest, "/manifests/channel-main", "/blobs/" + p.built.Blobs[0].Descriptor.Digest} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://"+strings.Replace(ref, "/", "/v2/", 1)+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("controller", "s3cret")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil || res.StatusCode < 400 {
			t.Errorf("DELETE %s: %s, %v", path, res.Status, err)
		}
	}
}

func TestTheRegistrySurvivesARestartAndItsGarbageCollection(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var p published
	for round := range 3 {
		r, err := registry.New(registry.Options{Dir: dir, Grace: -1}) // Close collects what is not needed
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			p = publish(t, inside(t, r))
		} else {
			p.point(t, inside(t, r), int64(round+1))
		}
		if _, err := p.follow(t.Context(), open(t, serve(t, r), ocistore.Options{})); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatAKilledRegistryLeftIsMended(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := registry.New(registry.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, inside(t, r))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	repo := filepath.Join(dir, "fleet", "bundles")
	for name, content := range map[string]string{"index.json": `{"schemaVersion":2,"manif`, "index.json.123": "", "oci-layout": "", "_uploads/upload.1": "half"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(repo, name)), 0o700), os.WriteFile(filepath.Join(repo, name), []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	again := newRegistry(t, registry.Options{Dir: dir})
	if _, err := inside(t, again).Resolve(t.Context(), "channel-main"); !errors.Is(err, bundle.ErrNotFound) {
		t.Fatalf("Resolve: %v", err)
	}
	p := publish(t, inside(t, again))
	if _, err := p.follow(t.Context(), inside(t, again)); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(repo, "index.json.*")); err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestATamperedRegistryIsRefusedByName(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func([]byte) []byte
		want   string
	}{
		"a wrong byte": {func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, bundle.WrongDigest},
		"truncated":    {func(b []byte) []byte { return b[:len(b)/2] }, bundle.Truncated},
		"longer":       {func(b []byte) []byte { return append(b, ' ') }, bundle.WrongSize},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := newRegistry(t, registry.Options{Dir: dir})
			p := publish(t, inside(t, r))
			m, err := bundle.ReadManifest(p.built.Manifest)
			if err != nil {
				t.Fatal(err)
			}
			src := open(t, serve(t, r), ocistore.Options{})
			for _, d := range []bundle.Descriptor{m.Layers[0], m.Config, p.built.Descriptor} {
				path := filepath.Join(dir, "fleet", "bundles", "blobs", "sha256", strings.TrimPrefix(d.Digest, "sha256:"))
				good, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, tt.change(bytes.Clone(good)), 0o600); err != nil {
					t.Fatal(err)
				}
				_, err = p.follow(t.Context(), src)
				var refusal *trust.Refusal
				if !errors.As(err, &refusal) || refusal.Name != tt.want {
					t.Errorf("%s: got %v, want the refusal %q", d.MediaType, err, tt.want)
				}
				if err := os.WriteFile(path, good, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := p.follow(t.Context(), src); err != nil {
				t.Errorf("after the repair: %v", err)
			}
		})
	}
}

func TestARegistryThatDoesNotAnswerIsGivenUp(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the backlog, says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := open(t, l.Addr().String()+"/x", ocistore.Options{Timeout: 50 * time.Millisecond})
	if _, err := s.Resolve(t.Context(), "v1"); err == nil || errors.Is(err, bundle.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestABodyThatStopsIsGivenUp(t *testing.T) {
	t.Parallel()
	d := bundle.DescriptorOf(bundle.LayerMediaType, make([]byte, 1<<20))
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(make([]byte, 1000))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	// On a busy machine the beginning may be late, too, which is another error: then both have more time.
	var err error
	for pause := time.Second; pause < time.Minute; pause *= 2 {
		s := open(t, serve(t, h), ocistore.Options{Timeout: pause})
		if _, err = bundle.Fetch(t.Context(), s, d, bundle.MaxLayer); err != nil && strings.Contains(err.Error(), "nothing arrived") {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "nothing arrived") || errors.As(err, new(*bundle.Refusal)) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestReferencesThatNameNothingAreRefused(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{"", "oci-layout:", "nohost", "host/UPPER", "host/x:tag", "host/x@" + bundle.DigestOf(nil), "https://host/x"} {
		if _, err := ocistore.Open(t.Context(), ref, ocistore.Options{}); err == nil {
			t.Errorf("%q was opened", ref)
		}
	}
}

func TestALayoutIsReadByOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := publish(t, ocistore.NewLayout(dir))
	data, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var idx struct {
		SchemaVersion int
		Manifests     []bundle.Descriptor
	}
	if err := json.Unmarshal(data, &idx); err != nil || idx.SchemaVersion != 2 {
		t.Fatal(err)
	}
	tags := map[string]string{}
	for _, d := range idx.Manifests {
		tags[d.Annotations["org.opencontainers.image.ref.name"]] = d.Digest
	}
	if tags["c-c0ffee"] != p.built.Descriptor.Digest || tags["channel-main"] == "" || tags["channel-main"] != tags["channel-main-1.1"] {
		t.Errorf("tags %v", tags)
	}
}
