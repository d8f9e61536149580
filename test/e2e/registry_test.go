//go:build linux

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/ocistore"
)

// repository is where the bundles are in the registry.
const repository = "vigo/acme"

// dockerRegistry is Debian's docker-registry, behind a proxy that counts what it gives to whom.
type dockerRegistry struct {
	site  *site
	addr  string // of the proxy
	blobs string // folder of the registry's content

	mu      sync.Mutex
	fetched []fetch
}

// fetch is one answer to a GET.
type fetch struct {
	by    string // address of the client
	path  string
	bytes int64
}

const registryConfig = `version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: %s}
http:
  addr: %s
  secret: of no use to anybody
`

// startRegistry starts the registry of Debian's package docker-registry, with a folder and a configuration of its own.
func (s *site) startRegistry(t *testing.T) (addr, folder string) {
	t.Helper()
	addr, folder = s.freeAddress(t), s.path("docker-registry")
	writeFile(t, s.path("registry.yml"), fmt.Sprintf(registryConfig, folder, addr))
	s.start(t, "docker-registry", "serve", s.path("registry.yml"))
	eventually(t, "docker-registry", func(ctx context.Context) error {
		c, err := s.host.DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return c.Close()
	})
	return addr, folder
}

// dockerRegistry starts one behind a proxy.
func (s *site) dockerRegistry(t *testing.T) *dockerRegistry {
	t.Helper()
	addr, folder := s.startRegistry(t)
	r := &dockerRegistry{site: s, blobs: filepath.Join(folder, "docker/registry/v2/blobs/sha256")}
	l, err := s.host.Listen(t.Context(), "tcp", s.net.Host().Addr().String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	server := &http.Server{Handler: r.proxy(addr)}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return r
}

// proxy hands requests on and counts the bodies of the answers.
func (r *dockerRegistry) proxy(to string) http.Handler {
	return &httputil.ReverseProxy{
		Transport: r.transport(),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: to})
			p.Out.Host = p.In.Host // the registry makes addresses for its clients of it
			p.Out.Header.Set("X-Fleet-Client", p.In.RemoteAddr)
		},
		ModifyResponse: func(res *http.Response) error {
			if res.Request.Method == http.MethodGet {
				client, _, err := net.SplitHostPort(res.Request.Header.Get("X-Fleet-Client"))
				if err != nil {
					return err
				}
				res.Body = &counted{ReadCloser: res.Body, to: r, fetch: fetch{by: client, path: res.Request.URL.Path}}
			}
			return nil
		},
	}
}

func (r *dockerRegistry) transport() *http.Transport {
	return &http.Transport{DialContext: r.site.host.DialContext, DisableCompression: true}
}

// counted is a body whose length is noted when it is closed.
type counted struct {
	io.ReadCloser
	to *dockerRegistry
	fetch
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.bytes += int64(n)
	return n, err
}

// Close implements io.Closer.
func (c *counted) Close() error {
	c.to.mu.Lock()
	defer c.to.mu.Unlock()
	c.to.fetched = append(c.to.fetched, c.fetch)
	return c.ReadCloser.Close()
}

// taken returns what a machine fetched since it was asked for last.
func (r *dockerRegistry) taken(by *node) []fetch {
	r.mu.Lock()
	defer r.mu.Unlock()
	var theirs, others []fetch
	for _, f := range r.fetched {
		if f.by == by.Addr().String() {
			theirs = append(theirs, f)
		} else {
			others = append(others, f)
		}
	}
	r.fetched = others
	return theirs
}

// store opens the repository with the right to push: the registry asks nobody who they are.
func (r *dockerRegistry) store(t *testing.T) bundle.Store {
	t.Helper()
	store, err := ocistore.Open(t.Context(), r.addr+"/"+repository, ocistore.Options{PlainHTTP: true, Transport: r.transport()})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// published reads the manifest and the config of the bundle that is published now.
func (r *dockerRegistry) published(t *testing.T, digest string) (bundle.Descriptor, bundle.Manifest, bundle.Config) {
	t.Helper()
	store := r.store(t)
	d, err := store.Resolve(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	m, c, err := bundle.Read(t.Context(), store, d)
	if err != nil {
		t.Fatal(err)
	}
	return d, m, c
}

// blob is the file a registry keeps content in.
func (r *dockerRegistry) blob(digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	return filepath.Join(r.blobs, hex[:2], hex, "data")
}

// tag is the folder a registry keeps a tag in.
func (r *dockerRegistry) tag(name string) string {
	return filepath.Join(r.blobs, "../../repositories", repository, "_manifests/tags", name)
}

// overwrite changes a file that exists, and returns what puts it back.
func overwrite(t *testing.T, path string, change func([]byte) []byte) (undo func()) {
	t.Helper()
	good := readFile(t, path)
	put := func(data []byte) {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(change([]byte(good)))
	return func() { put([]byte(good)) }
}
