package ocistore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"github.com/olareg/olareg/types"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/bundle"
)

// RegistryOptions say what an embedded registry is for.
type RegistryOptions struct {
	Dir string // made when it is not there
	// Token lets clients of the network push, as bearer token or as the password of any user; empty: nobody. The stores
	// of [Registry.Store] may always push.
	Token string
	Log   *slog.Logger

	noGrace bool // collect garbage at once, for tests
}

// A Registry is an OCI registry in this process, with the referrers API, kept in a folder as one OCI layout for each
// repository. Everybody who reaches it may pull; restrict that in front of it. Nobody may delete. What is tagged, and
// what refers to it, is never collected.
type Registry struct {
	server *olareg.Server
	token  [sha256.Size]byte
	open   bool // a token is set
	dir    string
}

// NewRegistry opens the registry in a folder. The caller closes it.
func NewRegistry(o RegistryOptions) (*Registry, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the registry: %w", err)
	}
	if err := mend(o.Dir, o.Log); err != nil {
		return nil, fmt.Errorf("opening the registry in %s: %w", o.Dir, err)
	}
	r := &Registry{token: sha256.Sum256([]byte(o.Token)), open: o.Token != "", dir: o.Dir}
	no := false
	c := config.Config{Log: o.Log}
	c.Storage = config.ConfigStorage{StoreType: config.StoreDir, RootDir: o.Dir}
	c.Storage.GC.Untagged, c.Storage.GC.ReferrersDangling, c.Storage.GC.EmptyRepo = &no, &no, &no
	if o.noGrace {
		c.Storage.GC.GracePeriod = -1
	}
	c.API.DeleteEnabled = &no
	c.API.Manifest.Limit = bundle.MaxManifest
	c.Auth.Handler = r.authorize
	r.server = olareg.New(c)
	return r, nil
}

// ServeHTTP implements http.Handler: the distribution API below /v2/.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.server.ServeHTTP(w, req) }

// Close ends background work. Requests that are under way are finished first.
func (r *Registry) Close() error {
	err := r.server.Close()
	var all interface{ Unwrap() []error }
	if !errors.As(err, &all) {
		return err
	}
	var real error
	for _, e := range all.Unwrap() {
		// Repositories that were asked for and never existed have nothing to collect.
		if !errors.Is(e, types.ErrNotFound) {
			real = errors.Join(real, e)
		}
	}
	return real
}

// Store is a repository of the registry, reached without a network and allowed to push.
func (r *Registry) Store(repository string) (bundle.Store, error) {
	return newRemote("localhost/"+repository, Options{PlainHTTP: true, Transport: inProcess{r}})
}

type insider struct{}

// authorize lets everybody read and those who may write; nobody deletes.
func (r *Registry) authorize(_ string, access config.AuthAccess, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case access == config.AuthRead:
			next.ServeHTTP(w, req)
		case access == config.AuthWrite && r.mayPush(req):
			next.ServeHTTP(w, req)
		default:
			w.Header().Set("WWW-Authenticate", `Basic realm="vigo"`)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"errors":[{"code":"UNAUTHORIZED","message":"pushing needs the registry's token"}]}`)) // the client is gone otherwise
		}
	})
}

func (r *Registry) mayPush(req *http.Request) bool {
	if req.Context().Value(insider{}) != nil {
		return true
	}
	if !r.open {
		return false
	}
	given, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if !ok {
		_, given, ok = req.BasicAuth()
	}
	sum := sha256.Sum256([]byte(given))
	return ok && subtle.ConstantTimeCompare(sum[:], r.token[:]) == 1
}

// inProcess carries requests to a handler of this process.
type inProcess struct{ r *Registry }

// RoundTrip implements http.RoundTripper.
func (p inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	in := req.Clone(context.WithValue(req.Context(), insider{}, true))
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.RequestURI, in.RemoteAddr, in.Host = in.URL.RequestURI(), "127.0.0.1:0", in.URL.Host
	w := &answer{header: http.Header{}}
	p.r.ServeHTTP(w, in)
	if req.Body != nil {
		_ = req.Body.Close() // a RoundTripper closes it; what it would say was said by reading
	}
	return w.response(req), nil
}

// answer collects what a handler writes.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

func (a *answer) response(req *http.Request) *http.Response {
	a.WriteHeader(http.StatusOK)
	return &http.Response{
		Status: http.StatusText(a.status), StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: noClose{&a.body}, ContentLength: contentLength(a), Request: req,
	}
}

// mend removes what a registry that was killed left half-written, and puts an index that cannot be read aside: the
// repository then looks empty, and whoever publishes fills it again.
func mend(dir string, log *slog.Logger) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := e.Name()
		switch {
		case e.IsDir() && name == "_uploads":
			if err := os.RemoveAll(path); err != nil {
				return err
			}
			return fs.SkipDir
		case e.IsDir() && name == "blobs":
			return fs.SkipDir
		case e.IsDir():
			return nil
		case strings.HasPrefix(name, indexName+"."):
			return os.Remove(path)
		case name == indexName || name == markerName:
			return mendJSON(path, log)
		}
		return nil
	})
}

func mendJSON(path string, log *slog.Logger) error {
	data, err := os.ReadFile(path)
	if err != nil || json.Valid(data) {
		return err
	}
	if log != nil {
		log.Warn("a file of the registry was cut off and is put aside", "path", path)
	}
	aside := filepath.Join(filepath.Dir(path), "broken-"+filepath.Base(path))
	return errors.Join(os.Rename(path, aside), atomicfile.SyncDir(filepath.Dir(path)))
}
