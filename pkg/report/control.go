package report

import "time"

// ControlsTrait is the name under which an agent tells which resources of its catalog serve which control. It is sent as traits are:
// once for all nodes that have the same.
const ControlsTrait = "controls"

// The limits of what is told of controls.
const (
	MaxControls     = 5000  // listed at once
	MaxControlNodes = 10000 // of one control, listed at once
)

// ControlDoc is the document of [ControlsTrait]: control to the resources that serve it.
type ControlDoc map[string][]string

// ControlState is how a node stands to a control: that of the worst of the resources that serve it.
type ControlState string

// The states of a control on a node, worst first.
const (
	ControlFailed  ControlState = "failed"  // a resource failed
	ControlDrift   ControlState = "drift"   // a resource differs and was left
	ControlSkipped ControlState = "skipped" // a resource was not looked at: what it needs failed, or its window is closed
	ControlUnknown ControlState = "unknown" // no run has said how the resources are
	ControlOK      ControlState = "ok"      // all resources are as declared, or were made so
)

// ControlStates lists the states, worst first.
func ControlStates() []ControlState {
	return []ControlState{ControlFailed, ControlDrift, ControlSkipped, ControlUnknown, ControlOK}
}

// A Control is a control of a catalogue over all nodes whose policy serves it, such as cis-debian-12:5.1. Silent nodes count as
// they were last.
type Control struct {
	Name    string `json:"name"`
	Nodes   int    `json:"nodes"` // whose policy serves it
	OK      int    `json:"ok"`
	Failed  int    `json:"failed"`
	Drift   int    `json:"drift"`
	Skipped int    `json:"skipped"`
	Unknown int    `json:"unknown"`
	Silent  int    `json:"silent"` // of Nodes, those that are stale or missing
}

// Count is how many nodes are in a state.
func (c Control) Count(s ControlState) int {
	switch s {
	case ControlFailed:
		return c.Failed
	case ControlDrift:
		return c.Drift
	case ControlSkipped:
		return c.Skipped
	case ControlUnknown:
		return c.Unknown
	}
	return c.OK
}

// A ControlNode is a node whose policy serves a control.
type ControlNode struct {
	Node      string       `json:"node"`
	State     ControlState `json:"state"`
	Presence  Presence     `json:"presence"`
	Seen      time.Time    `json:"seen,omitzero"`
	Resources []string     `json:"resources"` // those that are in the state; of an ok node all that serve the control
}

// Controls is how a fleet stands to the controls that its policy serves.
type Controls struct {
	Controls []Control     `json:"controls"`        // sorted by name
	Nodes    []ControlNode `json:"nodes,omitempty"` // of one control that was asked for, worst first, then by name
	Of       int           `json:"of"`              // nodes of the fleet, with and without controls
	Lacking  int           `json:"lacking"`         // nodes whose document is not here (yet); they are counted nowhere
}
