package ocistore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
)

// ErrNoDelete says that a registry removes nothing for clients.
var ErrNoDelete = errors.New("the registry does not remove manifests")

// tagsTimeout bounds listing the tags of a repository, of which there may be many pages.
const tagsTimeout = 5 * time.Minute

// Tags calls visit for every tag, until it fails.
func (s *remoteStore) Tags(ctx context.Context, visit func(tag string) error) error {
	ctx, cancel := context.WithTimeout(ctx, tagsTimeout)
	defer cancel()
	var stopped error
	err := s.repo.Tags(ctx, "", func(tags []string) error {
		for _, tag := range tags {
			if stopped = visit(tag); stopped != nil {
				return stopped
			}
		}
		return nil
	})
	switch {
	case stopped != nil:
		return stopped
	case errors.Is(err, errdef.ErrNotFound): // nothing was pushed yet
		return nil
	case err != nil:
		return s.failed("listing the tags", err)
	}
	return nil
}

// Delete removes a manifest with all its tags; bundle.ErrNotFound if it is not there, [ErrNoDelete] if the registry is not made
// for it.
func (s *remoteStore) Delete(ctx context.Context, d bundle.Descriptor) error {
	target, err := toOCI(d)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 4*s.timeout)
	defer cancel()
	// A repository that is told that the registry keeps referrers does not edit lists of them: who removes, removes these too.
	plain, err := remote.NewRepository(s.repo.Reference.Registry + "/" + s.repo.Reference.Repository)
	if err != nil {
		return err
	}
	plain.PlainHTTP, plain.Client = s.repo.PlainHTTP, s.repo.Client
	if err := plain.SetReferrersCapability(true); err != nil {
		return err
	}
	err = plain.Manifests().Delete(ctx, target)
	var answer *errcode.ErrorResponse
	if errors.As(err, &answer) && (answer.StatusCode == http.StatusMethodNotAllowed || unsupported(answer)) {
		return fault.WithHint(fmt.Errorf("removing %s at %s: %w", d.Digest, s.repo.Reference.Registry, ErrNoDelete),
			"allow it in its configuration (docker-registry: storage.delete.enabled: true), or let its own retention do it")
	}
	if err != nil {
		return s.failed("removing "+d.Digest, err)
	}
	return nil
}

// unsupported says whether a registry answers that it does not do what was asked.
func unsupported(answer *errcode.ErrorResponse) bool {
	return slices.ContainsFunc(answer.Errors, func(e errcode.Error) bool { return e.Code == errcode.ErrorCodeUnsupported })
}

// Tags calls visit for every tag, until it fails.
func (l *Layout) Tags(_ context.Context, visit func(tag string) error) error {
	idx, err := l.index()
	if err != nil {
		return err
	}
	for _, d := range idx.Manifests {
		if name := d.Annotations[refName]; name != "" {
			if err := visit(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// Delete removes a manifest with all its tags; bundle.ErrNotFound if it is not there. There is nobody else to collect what no manifest names any more, so that goes at once.
func (l *Layout) Delete(ctx context.Context, d bundle.Descriptor) error {
	found := false
	removable := map[string]bool{d.Digest: true}
	if m, err := l.manifest(ctx, d); err == nil {
		for _, part := range append([]bundle.Descriptor{m.Config}, m.Layers...) {
			removable[part.Digest] = true
		}
	}
	err := l.change(func(idx *layoutIndex) bool {
		before := len(idx.Manifests)
		idx.Manifests = slices.DeleteFunc(idx.Manifests, func(e bundle.Descriptor) bool { return e.Digest == d.Digest })
		found = len(idx.Manifests) < before
		for _, e := range idx.Manifests {
			m, err := l.manifest(ctx, e)
			if err != nil { // not to be known what it needs: nothing but the manifest goes
				removable = map[string]bool{d.Digest: true}
				break
			}
			for _, part := range append([]bundle.Descriptor{m.Config}, m.Layers...) {
				delete(removable, part.Digest)
			}
		}
		return found
	})
	if err != nil {
		return err
	}
	if !found {
		return notFound(d.Digest)
	}
	for digest := range removable {
		path, err := l.blob(digest)
		if err == nil {
			err = os.Remove(path)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing %s: %w", digest, err)
		}
	}
	return nil
}
