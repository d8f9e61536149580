package report

import (
	"maps"
	"slices"
	"time"

	"vigo.dev/pkg/trait"
)

// A CheckIn is what a node says every interval. Unchanged, it is about 250 bytes.
type CheckIn struct {
	Node     string        `json:"node"`
	Seq      int64         `json:"seq"` // rises with every request of the node, also over restarts; the service sets it, whatever is sent
	Boot     string        `json:"boot,omitempty"`
	Agent    string        `json:"agent"` // version
	Interval time.Duration `json:"interval"`
	Channel  string        `json:"channel"`
	Root     int64         `json:"root,omitempty"`    // version of the trust root in force
	Pointer  string        `json:"pointer,omitempty"` // version of the last accepted pointer
	Bundle   string        `json:"bundle,omitempty"`  // digest that is enforced
	Age      time.Duration `json:"age,omitempty"`     // since the pointer was issued
	// Adopting is the digest of the bundle that it is about to enforce: said before it does, so that a node that dies of it
	// is not taken for one that was off.
	Adopting string `json:"adopting,omitempty"`
	// Pinned says that an operator of the node has it stay with the bundle it has.
	Pinned bool `json:"pinned,omitempty"`
	// Why is what they gave as the reason of that; at most 500 bytes of it are kept.
	Why      string            `json:"why,omitempty"`
	Run      Summary           `json:"run"`
	Traits   string            `json:"traits,omitempty"` // trait root
	Facets   map[string]string `json:"facets,omitempty"` // name to digest; sent when the root has changed since the last acknowledged check-in
	Refusals []Refusal         `json:"refusals,omitempty"`
	Spooled  int               `json:"spooled,omitempty"` // runs waiting on disk
	// Hub is the hub it came through; the service sets it, whatever is sent.
	Hub string `json:"hub,omitempty"`
}

// A Summary is the last run in few bytes.
type Summary struct {
	ID      string        `json:"id,omitempty"`
	Started time.Time     `json:"started,omitzero"`
	Took    time.Duration `json:"took,omitempty"`
	Counts  Counts        `json:"counts"`
	Error   string        `json:"error,omitempty"`
	// Before says that it was a run of an earlier bundle than the one that is enforced.
	Before bool `json:"before,omitempty"`
}

// A Refusal is something the agent would not accept: the last good state stays.
type Refusal struct {
	Name   string    `json:"name"` // such as "rollback", "expired", "unsigned", "digest"; see package trust
	Detail string    `json:"detail"`
	What   string    `json:"what,omitempty"` // the digest or tag refused
	First  time.Time `json:"first"`
	Count  int       `json:"count"`
}

// An Answer is what the service says to a check-in.
type Answer struct {
	Interval time.Duration     `json:"interval,omitempty"` // to use from now on; 0: unchanged
	Pointer  string            `json:"pointer,omitempty"`  // version the service knows of this channel
	Need     []string          `json:"need,omitempty"`     // facet digests the service lacks
	Names    bool              `json:"names,omitempty"`    // the service does not know this trait root: send Facets
	Labels   map[string]string `json:"labels,omitempty"`   // labels granted at enrolment
}

// Equal is whether two answers say the same.
func (a Answer) Equal(b Answer) bool {
	return a.Interval == b.Interval && a.Pointer == b.Pointer && a.Names == b.Names && slices.Equal(a.Need, b.Need) &&
		maps.Equal(a.Labels, b.Labels) && (a.Labels == nil) == (b.Labels == nil)
}

// Facets is an upload of trait documents the service asked for.
type Facets struct {
	Node   string        `json:"node"`
	Facets []trait.Facet `json:"facets"`
}
