package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/ocistore"
)

// MoveOptions are new addresses. What is empty stays as it is.
type MoveOptions struct {
	Server   string   // of the report service, or of a hub
	Registry []string // references to pull from, in order, in place of those the service told
	Mirrors  []string // in place of those that were named at enrolment; empty, and not nil: none
	Access   ocistore.Access
	Now      func() time.Time
}

// Move has an enrolled node ask at other addresses: identity, key and policy stay. Each new address is asked first, and nothing is
// changed unless all of them answer: the service with a certificate of the fleet's authority, the registries with the channel. The
// caller holds the lock of the state directory.
func Move(ctx context.Context, s State, o MoveOptions) (Enrolment, error) {
	e, err := s.LoadEnrolment()
	if err != nil {
		return Enrolment{}, err
	}
	cred, err := loadCredentials(s, o.Now)
	if err != nil {
		return Enrolment{}, err
	}
	if o.Server != "" {
		server, origin, err := api.Reach(ctx, o.Server, cred.Roots, o.Now)
		if err != nil {
			return Enrolment{}, fmt.Errorf("asking %s: %w", o.Server, err)
		}
		e.moveServer(server, origin)
	}
	if len(o.Registry) > 0 {
		e.Registry = o.Registry
	}
	if o.Mirrors != nil {
		e.Mirrors = o.Mirrors
	}
	sources, err := ocistore.OpenFleet(ctx, slices.Concat(e.Mirrors, e.Registry), cred, o.Access, o.Now)
	if err != nil {
		return Enrolment{}, err
	}
	tag, _ := bundle.Pointer{Channel: e.Channel}.Tags()
	for i, src := range sources {
		if i < len(e.Mirrors) && o.Mirrors == nil {
			continue // as before: it may be away
		}
		if _, err := src.Resolve(ctx, tag); err != nil {
			err = fmt.Errorf("looking for channel %s at %s: %w", e.Channel, slices.Concat(e.Mirrors, e.Registry)[i], err)
			if errors.Is(err, bundle.ErrNotFound) {
				err = fault.WithHint(err, "the reference is HOST[:PORT]/REPOSITORY; does the controller publish there?")
			}
			return Enrolment{}, err
		}
	}
	return e, s.SaveEnrolment(e)
}

// moveServer puts another server in the place of the first. A registry that was on it is on the other one now.
func (e *Enrolment) moveServer(server, origin string) {
	old := e.Server
	for i, ref := range e.Registry {
		if rest, ok := strings.CutPrefix(ref, strings.TrimSuffix(old, "/")+"/"); ok {
			e.Registry[i] = origin + "/" + rest
		}
	}
	e.Server = server
	e.Servers = slices.DeleteFunc(e.Servers, func(other string) bool { return other == server })
}
