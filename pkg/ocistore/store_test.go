package ocistore_test

import (
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/bundle/bundletest"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/ocistore/registry"
)

func newRegistry(t testing.TB, o registry.Options) *registry.Registry {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	r, err := registry.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestALayoutIsAStore(t *testing.T) {
	t.Parallel()
	bundletest.Run(t, func(t *testing.T) bundle.Store { return ocistore.NewLayout(t.TempDir() + "/new") })
}

func TestTheEmbeddedRegistryIsAStoreInItsProcess(t *testing.T) {
	t.Parallel()
	bundletest.Run(t, func(t *testing.T) bundle.Store {
		s, err := newRegistry(t, registry.Options{}).Store(t.Context(), "fleet/bundles")
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func TestTheEmbeddedRegistryIsAStoreOverHTTP(t *testing.T) {
	t.Parallel()
	bundletest.Run(t, func(t *testing.T) bundle.Store {
		server := httptest.NewServer(newRegistry(t, registry.Options{Token: "s3cret"}))
		t.Cleanup(server.Close)
		s, err := ocistore.Open(t.Context(), strings.TrimPrefix(server.URL, "http://")+"/fleet/bundles", ocistore.Options{Username: "controller", Password: "s3cret"})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// A registry of the outside is given as host:port in VIGO_REGISTRY, such as Debian's docker-registry, which knows no
// referrers API. Without it the fallback tag is tested against a registry that has the API switched off.
func TestAnotherRegistryIsAStore(t *testing.T) {
	t.Parallel()
	host := os.Getenv("VIGO_REGISTRY")
	if host == "" {
		server := httptest.NewServer(withoutReferrers{newRegistry(t, registry.Options{Token: "s3cret"})})
		t.Cleanup(server.Close)
		host = strings.TrimPrefix(server.URL, "http://")
	}
	var n atomic.Int64
	stamp := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.TempDir()))
	bundletest.Run(t, func(t *testing.T) bundle.Store {
		repo := host + "/vigo-test" + stamp + "-" + string(rune('a'+n.Add(1)))
		s, err := ocistore.Open(t.Context(), repo, ocistore.Options{PlainHTTP: true, Username: "controller", Password: "s3cret"})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
