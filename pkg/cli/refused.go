package cli

import (
	"errors"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
)

// Refused gives the refusal of a bundle its exit code. An error that says that something could not be looked at keeps its
// own: it may be different next time.
func Refused(err error) error {
	var r *bundle.Refusal
	if errors.As(err, &r) || errors.Is(err, bundle.ErrDigest) || errors.Is(err, bundle.ErrLimit) {
		return fault.WithCode(err, fault.NotVerified)
	}
	return err
}
