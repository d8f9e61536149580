package report

import "time"

// A ChangeQuestion asks which traits of which nodes have changed.
type ChangeQuestion struct {
	Query           // which nodes are looked at
	Where string    `json:"where,omitempty"` // a condition over labels and traits as they are now; "": all of them
	Since time.Time `json:"since"`
	Trait string    `json:"trait,omitempty"` // "": all
	Limit int       `json:"limit,omitempty"` // of moves; 0: 1000, at most [MaxMoves]
}

// TraitChanges is the answer to a [ChangeQuestion].
type TraitChanges struct {
	Since time.Time `json:"since"`
	Nodes int       `json:"nodes"` // on which something has changed
	Moves []Move    `json:"moves"` // sorted by node, trait and field
	Left  int       `json:"left,omitempty"`
	// Waiting is how many changes have not been looked into yet.
	Waiting int `json:"waiting,omitempty"`
	// Dropped is until when changes were forgotten earlier than by their age, because there were too many; zero: none were.
	Dropped time.Time `json:"dropped,omitzero"`
	// Unread says that there were more changes than are looked through for one answer: the oldest are not in it.
	Unread bool `json:"unread,omitempty"`
}

// A Move is a value that is another one than it was at the beginning of the time that was asked for.
type Move struct {
	Node  string    `json:"node"`
	Trait string    `json:"trait"`
	Field string    `json:"field,omitempty"` // path into the document; "": the document as a whole
	From  string    `json:"from"`
	To    string    `json:"to"`
	At    time.Time `json:"at"`              // of the last change
	Times int       `json:"times,omitempty"` // how often it has changed, when more than once
	More  int       `json:"more,omitempty"`  // further values of the document that changed and were not kept
}
