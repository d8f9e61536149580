package report

import "time"

// How a node leaves quarantine.
const (
	UntilWell     = "well"    // by itself, when the rule does not find it any more
	UntilReleased = "release" // by an operator
)

// A QuarantineRule is that a rule of alerts puts what it finds in quarantine: it is marked, and receivers are told, so that
// something outside can take it out of service. Nothing is changed on the node, nor of who it is.
type QuarantineRule struct {
	Until string `json:"until"` // [UntilWell] or [UntilReleased]
	// Most is the share of all nodes that may be in quarantine, in percent; one node always may. What is beyond is a problem for
	// people: so many nodes at once are an accident of something else.
	Most   float64  `json:"most"`
	Notify []string `json:"notify,omitempty"` // receivers; none: those of the rule
}

// Quarantine is that a node is in quarantine.
type Quarantine struct {
	Rule  string    `json:"rule"`
	Since time.Time `json:"since"`
	Text  string    `json:"text,omitempty"` // what was found
	Until string    `json:"until"`          // [UntilWell] or [UntilReleased]
}
