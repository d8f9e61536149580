package report

import "time"

// RebootsTrait is the name under which an agent tells in which group it takes turns to reboot. It is sent as traits are: once for
// all nodes of a group.
const RebootsTrait = "reboots"

// RebootDoc is the document of [RebootsTrait].
type RebootDoc struct {
	Group string `json:"group"`
}

// Reboot is a node that has a place to reboot, or waits for one.
type Reboot struct {
	Node  string    `json:"node"`
	Group string    `json:"group"`
	State string    `json:"state"` // reboots, overdue or waits
	Why   string    `json:"why,omitempty"`
	Asked time.Time `json:"asked"`          // for the first time
	Since time.Time `json:"since,omitzero"` // when it was given its place
	Until time.Time `json:"until,omitzero"` // when it should be back
	Text  string    `json:"text,omitempty"` // why it is overdue
}

// The states of a [Reboot].
const (
	Reboots       = "reboots"
	RebootOverdue = "overdue"
	RebootWaits   = "waits"
)

// RebootCounts counts nodes by the state of their reboot.
type RebootCounts struct {
	Now     int `json:"now"` // overdue ones, too
	Overdue int `json:"overdue,omitempty"`
	Waiting int `json:"waiting,omitempty"`
}
