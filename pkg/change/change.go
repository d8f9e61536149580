// Package change describes one difference between what is and what should be, and renders it for people.
//
// It refuses to hold secrets: a change of a sensitive value is made by [Secret], which keeps no part of it.
package change

import (
	"fmt"
	"strings"
)

// Masked stands wherever a secret would have been shown.
const Masked = "(masked)"

// Unknown stands for a value that is only known once an earlier change has been made.
const Unknown = "(known after apply)"

// Absent stands for a thing that is not there.
const Absent = "absent"

// A Change is one field of a resource that differs from its declaration.
type Change struct {
	Field string `json:"field"`          // name of the field in the policy, such as "mode" or "content"
	From  string `json:"from,omitempty"` // what is there now; empty when Diff says it better
	To    string `json:"to,omitempty"`   // what is declared
	Diff  string `json:"diff,omitempty"` // unified diff, for text
}

// Of returns a change of field from one value to another, each rendered by fmt.
func Of(field string, from, to any) Change {
	return Change{Field: field, From: fmt.Sprint(from), To: fmt.Sprint(to)}
}

// Secret returns a change of field that shows neither value.
func Secret(field string) Change { return Change{Field: field, From: Masked, To: Masked} }

// String renders the change as one line, or as a diff under its field name.
func (c Change) String() string {
	if c.Diff != "" {
		return c.Field + ":\n" + strings.TrimRight(c.Diff, "\n")
	}
	if c.From == "" && c.To == "" {
		return c.Field
	}
	return fmt.Sprintf("%s: %s -> %s", c.Field, c.From, c.To)
}
