package report

import "time"

// MaxSeen is how many nodes one report of a hub may name.
const MaxSeen = 5000

// A HubReport is the word of a hub for itself, and for those nodes behind it that checked in and had nothing new to say.
type HubReport struct {
	Hub     string            `json:"hub"`
	Version string            `json:"version"`
	Seen    []Sighting        `json:"seen,omitempty"`    // since the last report; at most [MaxSeen]
	Nodes   int               `json:"nodes"`             // that checked in within a day
	Spooled int               `json:"spooled,omitempty"` // uploads that wait on its disk
	Mirrors map[string]string `json:"mirrors,omitempty"` // channel to the version of the pointer it shows its site
	Trouble string            `json:"trouble,omitempty"` // why it does not mirror what is current
}

// A Sighting is a node that checked in at a hub.
type Sighting struct {
	Node string        `json:"node"`
	Age  time.Duration `json:"age"` // since then
}

// A HubAnswer is what the service says to a hub.
type HubAnswer struct {
	Interval time.Duration `json:"interval"` // to report in
	// Verbatim are nodes for which the word of the hub is not enough: their next check-in is to be passed on as it is.
	Verbatim []string `json:"verbatim,omitempty"`
}

// A HubStatus is how a hub is.
type HubStatus struct {
	Name     string            `json:"name"`
	Presence Presence          `json:"presence"`
	Seen     time.Time         `json:"seen,omitzero"`
	Interval time.Duration     `json:"interval"`
	Nodes    int               `json:"nodes"` // whose last check-in came through it
	Version  string            `json:"version,omitempty"`
	Spooled  int               `json:"spooled,omitempty"`
	Mirrors  map[string]string `json:"mirrors,omitempty"`
	Trouble  string            `json:"trouble,omitempty"`
}
