// Package registry is an OCI registry to embed: olareg behind rules of our own about who may push.
//
// It is a package of its own because agents, which read from registries, must not carry one. It refuses to decide who
// may pull: whatever listener it is put behind does.
package registry

import (
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
	"time"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"github.com/olareg/olareg/types"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/ocistore"
)

// Options say what a registry is for.
type Options struct {
	Dir string // made when it is not there
	// Token lets clients of the network push, as bearer token or as the password of any user; empty: nobody. The stores
	// of [Registry.Store] may always push.
	Token string
	Log   *slog.Logger
	// Grace is how long content is kept that nothing leads to, such as that of a push which is under way; 0: an hour,
	// negative: not at all.
	Grace time.Duration
	// Sparse takes manifests although layers that they name are not there.
	Sparse bool
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

// New opens the registry in a folder. The caller closes it.
func New(o Options) (*Registry, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the registry: %w", err)
	}
	if err := mend(o.Dir, o.Log); err != nil {
		return nil, fmt.Errorf("opening the registry in %s: %w", o.Dir, err)
	}
	r := &Registry{token: sha256.Sum256([]byte(o.Token)), open: o.Token != "", dir: o.Dir}
	no, yes := false, true
	c := config.Config{Log: o.Log}
	c.Storage = config.ConfigStorage{StoreType: config.StoreDir, RootDir: o.Dir}
	c.Storage.GC.Untagged, c.Storage.GC.ReferrersDangling, c.Storage.GC.EmptyRepo = &no, &no, &no
	c.Storage.GC.GracePeriod = o.Grace
	c.API.DeleteEnabled = &yes // for those inside, see authorize
	c.API.Manifest.Limit = bundle.MaxManifest
	c.API.Manifest.SparseImage = &o.Sparse
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
func (r *Registry) Store(ctx context.Context, repository string) (bundle.Store, error) {
	return ocistore.Open(ctx, "localhost/"+repository, ocistore.Options{PlainHTTP: true, Transport: inProcess{r}})
}

const (
	indexName  = "index.json"
	markerName = "oci-layout"
)

type insider struct{}

// authorize lets everybody read and those who may write; only who is inside deletes.
func (r *Registry) authorize(_ string, access config.AuthAccess, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case access == config.AuthRead:
			next.ServeHTTP(w, req)
		case access == config.AuthWrite && r.mayPush(req):
			next.ServeHTTP(w, req)
		case access == config.AuthDelete && inside(req):
			next.ServeHTTP(w, req)
		default:
			w.Header().Set("WWW-Authenticate", `Basic realm="vigo"`)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"errors":[{"code":"UNAUTHORIZED","message":"pushing needs the registry's token"}]}`)) // the client is gone otherwise
		}
	})
}

// inside says whether a request comes from this process.
func inside(req *http.Request) bool { return req.Context().Value(insider{}) != nil }

func (r *Registry) mayPush(req *http.Request) bool {
	if inside(req) {
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
