package ocistore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
)

// remoteStore is a repository of a registry.
type remoteStore struct {
	repo    *remote.Repository
	timeout time.Duration
}

func newRemote(ref string, o Options) (*remoteStore, error) {
	repo, err := remote.NewRepository(ref)
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("opening the store %q: %w", ref, err), "write oci-layout:DIR or HOST[:PORT]/REPOSITORY")
	}
	if repo.Reference.Reference != "" {
		return nil, fault.WithHint(fmt.Errorf("opening the store %q: it names a tag or a digest, not a repository", ref), "leave out what follows the repository")
	}
	if o, err = o.configured(repo.Reference.Host()); err != nil {
		return nil, fmt.Errorf("opening the store %q: %w", ref, err)
	}
	repo.PlainHTTP = o.plain(repo.Reference.Registry)
	repo.SkipReferrersGC = true // registries without the referrers API mostly refuse to delete
	repo.ReferrerListMaxPages = 4
	repo.MaxMetadataBytes = bundle.MaxManifest
	client := &auth.Client{Client: &http.Client{Transport: unsized{guarded{o.transport(), repo.PlainHTTP}}}, Cache: auth.NewCache()}
	client.SetUserAgent("vigo")
	switch {
	case o.Username != "" || o.Password != "" || o.Token != "":
		client.Credential = auth.StaticCredential(repo.Reference.Registry,
			auth.Credential{Username: o.Username, Password: o.Password, AccessToken: o.Token})
	case o.Access.Config != "":
		client.Credential = o.Access.credential
	}
	repo.Client = client
	return &remoteStore{repo: repo, timeout: o.timeout()}, nil
}

// guarded keeps credentials off lines that are not encrypted: a registry that is reached over TLS may send us on to an address
// that is not, and a header is kept when the host is the same.
type guarded struct {
	next  http.RoundTripper
	plain bool // so is the registry, as it was asked for
}

// RoundTrip implements http.RoundTripper.
func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if !g.plain && r.URL.Scheme != "https" && r.Header.Get("Authorization") != "" {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper closes it
		}
		return nil, fmt.Errorf("%s is not reached over TLS: credentials are not sent there", r.URL.Host)
	}
	return g.next.RoundTrip(r)
}

// unsized hides what a registry claims about the length of a body. oras-go turns a wrong claim into an error that
// cannot be told from that of a broken line; the reader that verifies tells it well.
type unsized struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (u unsized) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := u.next.RoundTrip(r)
	if err == nil && r.Method == http.MethodGet && res.StatusCode == http.StatusOK {
		res.ContentLength = -1
	}
	return res, err
}

// Resolve implements bundle.Source.
func (s *remoteStore) Resolve(ctx context.Context, tag string) (bundle.Descriptor, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*s.timeout)
	defer cancel()
	d, err := s.repo.Resolve(ctx, tag)
	if err != nil {
		return bundle.Descriptor{}, s.failed("asking for tag "+tag, err)
	}
	return fromOCI(d), nil
}

// Open implements bundle.Source.
func (s *remoteStore) Open(ctx context.Context, d bundle.Descriptor) (io.ReadCloser, error) {
	target, err := toOCI(d)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	rc, err := s.repo.Fetch(ctx, target)
	if err != nil {
		cancel()
		return nil, s.failed("fetching "+d.Digest, err)
	}
	return bundle.Verified(newPatient(rc, s.timeout, cancel), d), nil
}

// Referrers implements bundle.Source.
func (s *remoteStore) Referrers(ctx context.Context, d bundle.Descriptor, artifactType string) ([]bundle.Descriptor, error) {
	target, err := toOCI(d)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 4*s.timeout)
	defer cancel()
	var found []bundle.Descriptor
	err = s.repo.Referrers(ctx, target, artifactType, func(page []ocispec.Descriptor) error {
		for _, r := range page {
			if len(found) == maxReferrers {
				return errEnough
			}
			found = append(found, fromOCI(r))
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) && !errors.Is(err, errdef.ErrNotFound) {
		return nil, s.failed("asking for the referrers of "+d.Digest, err)
	}
	return found, nil
}

var errEnough = errors.New("enough referrers")

// Push implements bundle.Store.
func (s *remoteStore) Push(ctx context.Context, d bundle.Descriptor, r io.Reader) error {
	target, err := toOCI(d)
	if err != nil {
		return err
	}
	if d.Size < 0 || d.Size > bundle.MaxLayer {
		return fmt.Errorf("pushing %s of %d bytes: %w", d.Digest, d.Size, bundle.ErrLimit)
	}
	// A manifest is pushed even when it is there: a push that was interrupted may have left it out of the fallback tag.
	if d.MediaType != bundle.ManifestMediaType {
		if there, err := s.Has(ctx, d); err != nil || there {
			return err
		}
	}
	data, err := io.ReadAll(bundle.Verified(io.NopCloser(r), d))
	if err != nil {
		return fmt.Errorf("pushing %s: %w", d.Digest, err)
	}
	err = s.repo.Push(ctx, target, bytes.NewReader(data))
	if err != nil && !errors.Is(err, errdef.ErrAlreadyExists) {
		return s.failed("pushing "+d.Digest, err)
	}
	return nil
}

// Has says whether content is there, without fetching it.
func (s *remoteStore) Has(ctx context.Context, d bundle.Descriptor) (bool, error) {
	target, err := toOCI(d)
	if err != nil {
		return false, err
	}
	there, err := s.repo.Exists(ctx, target)
	if err != nil {
		return false, s.failed("looking for "+d.Digest, err)
	}
	return there, nil
}

// Tag implements bundle.Store.
func (s *remoteStore) Tag(ctx context.Context, d bundle.Descriptor, tag string) error {
	target, err := toOCI(d)
	if err != nil {
		return err
	}
	if err := s.repo.Tag(ctx, target, tag); err != nil {
		return s.failed("tagging "+d.Digest+" as "+tag, err)
	}
	return nil
}

// failed adds what was done where, and translates "not there".
func (s *remoteStore) failed(doing string, err error) error {
	where := doing + " at " + s.repo.Reference.Registry + "/" + s.repo.Reference.Repository
	if errors.Is(err, errdef.ErrNotFound) {
		return notFound(where)
	}
	var answer *errcode.ErrorResponse
	if errors.Is(err, auth.ErrBasicCredentialNotFound) ||
		errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		return fmt.Errorf("%s: %w: %w", where, ErrDenied, err)
	}
	return fmt.Errorf("%s: %w", where, err)
}

func toOCI(d bundle.Descriptor) (ocispec.Descriptor, error) {
	if _, err := bundle.ParseDigest(d.Digest); err != nil {
		return ocispec.Descriptor{}, err
	}
	return ocispec.Descriptor{MediaType: d.MediaType, ArtifactType: d.ArtifactType, Digest: digest.Digest(d.Digest), Size: d.Size}, nil
}

func fromOCI(d ocispec.Descriptor) bundle.Descriptor {
	return bundle.Descriptor{MediaType: d.MediaType, ArtifactType: d.ArtifactType, Digest: d.Digest.String(), Size: d.Size}
}
