package controller

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/trust"
	"vigo.dev/pkg/window"
)

// ErrForeign means that a channel in the registry was not signed by the keys of this controller.
var ErrForeign = errors.New("the channel was signed by other keys")

// A Builder turns the files of a commit into a bundle. Everything that is wrong with the files comes back as one error,
// fault.Problems where there are places to name.
type Builder interface {
	// Build fills in the rest of cfg (Fleet, Content, Layers, Channels). It is pure: the same files and cfg, the same
	// bytes.
	Build(fsys fs.FS, cfg bundle.Config) (Artifact, error)
}

// An Artifact is a bundle that is ready to be stored.
type Artifact struct {
	Descriptor bundle.Descriptor // of the manifest
	Manifest   []byte
	Config     bundle.Config
	Interval   time.Duration // between check-ins, as the policy says
	Blobs      []Blob        // config and layers
	Layers     []policy.Layer
	// Sources are the channels that are fed from elsewhere, and from where.
	Sources map[string]policy.Origin
	Alerts  []report.AlertRule // for the report service
	// Grants are the labels that nodes have by their names, for the report service.
	Grants []report.LabelGrant
	// Rollouts are how channels are given what is new, and Windows when; channels that are not named are given it at once.
	Rollouts map[string]rollout.Spec
	Windows  map[string]window.Window
	Modes    map[string]bool // switches, as the policy says
}

// A Blob is content with its descriptor.
type Blob struct {
	Descriptor bundle.Descriptor
	Data       []byte
}

// Keys sign for the controller, each role with its own key, and read back what they signed.
type Keys interface {
	// Attach signs a manifest with the bundle key, unless a valid signature of that key is there.
	Attach(ctx context.Context, store bundle.Store, d bundle.Descriptor, now time.Time) error
	// SignPointer signs with the channel key. payload is the digest of what was signed.
	SignPointer(ctx context.Context, p bundle.Pointer) (signature []byte, payload string, err error)
	// Publish stores a signed pointer under both its tags; doing it again with the same bytes changes nothing.
	Publish(ctx context.Context, store bundle.Store, p bundle.Pointer, signatures [][]byte) error
	// Current returns the pointer the registry shows for a channel, expired or not, with its signatures and the digest
	// of its payload. It fails with bundle.ErrNotFound when there is none, and with
	// [ErrForeign] when our keys did not sign it.
	Current(ctx context.Context, src bundle.Source, fleet, channel string) (p bundle.Pointer, signatures [][]byte, payload string, err error)
	// Epoch is the lowest epoch of new pointers: that of the root document.
	Epoch() int64
}

// A Witness states, with the bundle key, from what a bundle was built.
type Witness interface {
	// Attest attaches a provenance, unless trusted keys have stated it already, with the promotions it names.
	Attest(ctx context.Context, store bundle.Store, d bundle.Descriptor, p trust.Provenance, now time.Time) error
}
