package report

import (
	"time"

	"vigo.dev/pkg/window"
)

// MaxMaintenance is how many maintenances there are at once.
const MaxMaintenance = 200

// A Maintenance is a time in which people work on nodes: that they are silent or fail is no news meanwhile.
type Maintenance struct {
	ID     string    `json:"id"`
	Nodes  []string  `json:"nodes,omitempty"` // globs of names, of nodes or hubs; none: Where alone
	Where  string    `json:"where,omitempty"` // condition over labels and the name
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`   // when it was asked for
	From   time.Time `json:"from"` // may be later
	Until  time.Time `json:"until"`
	// Window are the hours, from From until Until, in which it goes on; zero: all of them.
	Window window.Window `json:"window,omitzero"`
}

// Now reports whether it is at a time.
func (m *Maintenance) Now(at time.Time) bool {
	return !at.Before(m.From) && at.Before(m.Until) && m.Window.Open(at)
}

// MaintenanceStatus is a maintenance with what it covers now; before it begins and after its end, nothing.
type MaintenanceStatus struct {
	Maintenance
	Covers  int `json:"covers"`
	Silent  int `json:"silent,omitempty"`  // stale or missing
	Failing int `json:"failing,omitempty"` // failed or drift
}
