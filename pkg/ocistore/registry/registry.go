// Package registry is an OCI registry to embed: olareg behind rules of our own about who may pull and push, and how much.
//
// It is a package of its own because agents, which read from registries, must not carry one. It refuses to know anybody:
// who holds a token or a certificate is for its [Directory] to say. It refuses to let anybody delete but its own process.
package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"github.com/olareg/olareg/types"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/ocistore"
)

// DefaultQuota is the room of a folder for which nobody named another: ten thousand bundles of a megabyte each.
const DefaultQuota = 10 << 30

// Options say what a registry is for.
type Options struct {
	Dir string // made when it is not there
	// Token lets clients of the network push whatever they like, as bearer token or as the password of any user; empty:
	// nobody. The stores of [Registry.Store] may always push.
	Token string
	// Directory knows who asks; nil: nobody is known but who has the Token.
	Directory Directory
	FleetOnly bool // who is not known may not pull
	// Quota is how many bytes the folder may hold before bundles are refused; 0: as many as the disk has. The last tenth is
	// not for people. Pointers, signatures and root documents of this process are taken beyond it: what runs must not
	// expire because there is no room for what is new.
	Quota     int64
	MaxUpload int64          // bytes of one blob; 0: [bundle.MaxLayer]
	Listener  func(Incident) // is told of what people push and of who is refused; nil: nobody. It must not wait
	Log       *slog.Logger
	// Grace is how long content is kept that nothing leads to, such as that of a push which is under way; 0: an hour,
	// negative: not at all.
	Grace time.Duration
	// Sparse takes manifests although layers that they name are not there.
	Sparse bool
}

// A Registry is an OCI registry in this process, with the referrers API, kept in a folder as one OCI layout for each
// repository. Nobody may delete over the network. What is tagged, and what refers to it, is never collected.
type Registry struct {
	Options
	server  *olareg.Server
	token   [sha256.Size]byte
	usage   usage
	uploads uploads
	metrics *metrics
}

// New opens the registry in a folder. The caller closes it.
func New(o Options) (*Registry, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the registry: %w", err)
	}
	if err := mend(o.Dir, o.Log); err != nil {
		return nil, fmt.Errorf("opening the registry in %s: %w", o.Dir, err)
	}
	if o.MaxUpload <= 0 {
		o.MaxUpload = bundle.MaxLayer
	}
	r := &Registry{Options: o, token: sha256.Sum256([]byte(o.Token)), usage: usage{dir: o.Dir, quota: o.Quota}, metrics: newMetrics()}
	r.usage.measure(0)
	if r.usage.err != nil {
		return nil, fmt.Errorf("measuring the registry in %s: %w", o.Dir, r.usage.err)
	}
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

// ServeHTTP implements http.Handler: the distribution API below /v2/. It sets deadlines of its own, by what a client's line
// carries, in place of those of the server for whole requests.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if inside(req) {
		r.server.ServeHTTP(w, req)
		return
	}
	out := &reply{ResponseWriter: w, control: http.NewResponseController(w)}
	_ = out.control.SetWriteDeadline(time.Now().Add(writeTime))
	_ = out.control.SetReadDeadline(time.Time{}) // the body, if it is read, gets its own
	defer func() { r.metrics.answered(req.Method, out) }()
	r.server.ServeHTTP(out, req)
}

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
	s, err := ocistore.Open(ctx, "localhost/"+repository, ocistore.Options{PlainHTTP: true, Transport: inProcess{r}})
	if err != nil {
		return nil, err
	}
	return room{s.(clearable)}, nil
}

// clearable is the store of a registry: it can be cleared of what is old, too.
type clearable interface {
	bundle.Store
	Tags(ctx context.Context, visit func(tag string) error) error
	Delete(ctx context.Context, d bundle.Descriptor) error
}

// room is a store that says which of what it pushes is the content of bundles, for which alone the quota is.
type room struct{ clearable }

// Push implements bundle.Store.
func (s room) Push(ctx context.Context, d bundle.Descriptor, r io.Reader) error {
	if d.MediaType == bundle.LayerMediaType || d.MediaType == bundle.ConfigMediaType {
		ctx = context.WithValue(ctx, content{}, true)
	}
	return s.clearable.Push(ctx, d, r)
}

// The keys under which a request of this process says what it is.
type (
	insider struct{}
	content struct{}
)

// inside says whether a request comes from this process.
func inside(req *http.Request) bool { return req.Context().Value(insider{}) != nil }
