package report

import "time"

// The limits of a question to the inventory.
const (
	MaxShown     = 20      // paths of values
	MaxFound     = 100_000 // nodes in one answer
	MaxQuestions = 200     // that are kept under a name
)

// A Question asks the inventory which nodes there are, and what they have.
type Question struct {
	Query        // which nodes are looked at
	Where string `json:"where,omitempty"` // a condition over labels and traits; "": all of them
	// Show is paths of values to answer with, such as os.version.
	Show []string `json:"show,omitempty"`
	// Count is a path whose values are counted instead of nodes being listed.
	Count string `json:"count,omitempty"`
	Limit int    `json:"limit,omitempty"` // of nodes; 0: all, at most [MaxFound]
}

// Inventory is the answer to a [Question].
type Inventory struct {
	Where   string       `json:"where,omitempty"`
	Matched int          `json:"matched"`           // nodes, however many are listed
	Show    []string     `json:"show,omitempty"`    // the paths of Values
	Nodes   []Found      `json:"nodes,omitempty"`   // sorted by name
	Counts  []ValueCount `json:"counts,omitempty"`  // those that most have first
	Lacking int          `json:"lacking,omitempty"` // documents that nodes have and that are not here (yet): the answer may miss nodes
}

// Found is a node of an answer.
type Found struct {
	Node     string    `json:"node"`
	Presence Presence  `json:"presence"`
	Seen     time.Time `json:"seen,omitzero"`
	Values   []any     `json:"values,omitempty"` // null: it has nothing there
}

// ValueCount is how many nodes have a value.
type ValueCount struct {
	Value any `json:"value"` // null: nothing
	Nodes int `json:"nodes"`
}

// A SavedQuestion is a question under a name.
type SavedQuestion struct {
	Name  string    `json:"name"`
	Note  string    `json:"note,omitempty"`
	By    string    `json:"by"`
	At    time.Time `json:"at"`
	Where string    `json:"where"`
	Show  []string  `json:"show,omitempty"`
}
