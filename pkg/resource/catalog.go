package resource

import (
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/window"
)

// A Catalog is the resources that apply to one node, in the order they are to be converged. It is a pure function of
// verified policy, labels and traits.
type Catalog struct {
	Fleet   string
	Modules []string // that apply, in order
	Items   []Item   // every index in Requires is lower than the item's own
}

// An Item is one resource of a catalog.
type Item struct {
	ID       ID
	Module   string
	Resource Resource
	Meta     Meta
	// Requires are the indexes of the items that must have succeeded before this one is converged. They include
	// what the type implies.
	Requires []int
	// Notifies are the indexes of the items to refresh when this one changed.
	Notifies []int
	// Digest is that of the declaration as rendered for this node: the same digest and a difference on the host is
	// drift ("corrected"), another digest is a new policy ("changed").
	Digest string
	Pos    fault.Pos
}

// Name renders the item as it is called in reports: module/type:identity.
func (it Item) Name() string { return it.Module + "/" + it.ID.Type + ":" + it.ID.Name }

// Meta is what every resource has beside its own attributes.
type Meta struct {
	Alias     string        `json:"id,omitempty"` // short name
	About     string        `json:"about,omitempty"`
	Audit     bool          `json:"audit,omitempty"`     // report drift, change nothing
	Sensitive bool          `json:"sensitive,omitempty"` // never show values or diffs
	Tainted   bool          `json:"tainted,omitempty"`   // holds secrets: only the fields in Shown are shown
	Shown     []string      `json:"-"`                   // of a tainted resource, sorted
	Controls  []string      `json:"controls,omitempty"`
	Tags      []string      `json:"tags,omitempty"`
	Timeout   time.Duration `json:"timeout,omitempty"` // of plan and apply together; 0: the run's default
	Retries   int           `json:"retries,omitempty"` // after a failed apply
	Window    window.Window `json:"window,omitzero"`   // when it may be changed; the zero one: always
	Guard     time.Duration `json:"guard,omitempty"`   // within which a check-in must confirm a change; 0: none need
}
