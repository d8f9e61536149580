package policy

import (
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
)

// TrustRules are what the controller asks of commits before it publishes them.
type TrustRules struct {
	Commits   string    `json:"commits,omitempty"` // CommitsAny or CommitsSigned
	Approvals Approvals `json:"approvals,omitzero"`
}

// The values of TrustRules.Commits.
const (
	CommitsAny    = "any"    // the default: whoever may push to the branch may publish
	CommitsSigned = "signed" // every commit is signed by somebody in allowed_signers
)

// Approvals says how many people must have approved a commit before it is published.
type Approvals struct {
	Count int      `json:"count"` // of different people; 0: none are asked for
	From  []Person `json:"from,omitempty"`
	// NotAuthor says that nobody approves what they wrote themselves; so it is unless the policy says otherwise.
	NotAuthor bool `json:"notAuthor,omitempty"`
}

// A Person is the names of somebody who may approve: addresses as in allowed_signers and in commits, and accounts at the
// forge with an @ before them.
type Person []string

const maxApprovals = 20

func (r *reader) trust(n *yaml.Node) TrustRules {
	var t TrustRules
	entries, _ := r.mapping(n, "trust")
	r.only(entries, "commits", "approvals")
	for _, e := range entries {
		switch e.key {
		case "commits":
			t.Commits = r.str(e.value, "commits")
			if values := []string{CommitsAny, CommitsSigned}; !slices.Contains(values, t.Commits) {
				r.fail(e.value, "bad-enum", fault.DidYouMean(t.Commits, values), "commits must be any or signed, not %q", t.Commits)
			}
		case "approvals":
			t.Approvals = r.approvals(e.value)
		}
	}
	return t
}

func (r *reader) approvals(n *yaml.Node) Approvals {
	a := Approvals{NotAuthor: true}
	entries, ok := r.mapping(n, "approvals")
	if !ok {
		return a
	}
	r.only(entries, "count", "from", "not_author")
	var from *yaml.Node
	for _, e := range entries {
		switch e.key {
		case "count":
			count, err := strconv.Atoi(e.value.Value)
			if e.value.Tag != "!!int" || err != nil || count < 1 || count > maxApprovals {
				r.fail(e.value, "out-of-range", "leave approvals out where none are needed", "count must be a number from 1 to %d, not %s", maxApprovals, describe(e.value))
				continue
			}
			a.Count = count
		case "from":
			from = e.value
		case "not_author":
			a.NotAuthor = r.boolean(e.value, "not_author")
		}
	}
	if a.Count == 0 && !slices.ContainsFunc(entries, func(e entry) bool { return e.key == "count" }) {
		r.fail(n, "missing-key", "count: 1", `approvals need the key "count"`)
	}
	if from != nil {
		a.From = r.people(from, a)
	}
	return a
}

// people reads who may approve: a list, each item the names of one person with spaces between them.
func (r *reader) people(n *yaml.Node, a Approvals) []Person {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.fail(n, "wrong-type", `- ada@example.com`, "from must be a list of people, not %s", describe(n))
		return nil
	}
	var people []Person
	taken := map[string]int{}
	for _, item := range n.Content {
		names := strings.Fields(r.str(item, "a person"))
		addressed := false
		for i, name := range names {
			names[i] = strings.ToLower(name)
			addressed = addressed || name[0] != '@'
			if first, twice := taken[names[i]]; twice {
				r.fail(item, "duplicate-key", "one line for each person, with all their names", "%s is named twice; first on line %d", name, first)
			}
			taken[names[i]] = item.Line
		}
		if len(names) == 0 || slices.Contains(names, "@") {
			r.fail(item, "bad-name", `ada@example.com @ada`, "a person needs a name")
			continue
		}
		if a.NotAuthor && !addressed {
			r.fail(item, "bad-name", "add the address: "+names[0]+" ada@example.com; or say not_author: false",
				"whether %s wrote a commit cannot be told without the address they commit with", names[0])
		}
		people = append(people, names)
	}
	if len(people) < a.Count {
		r.fail(n, "out-of-range", "", "%d approvals are asked for, and only %d may give them", a.Count, len(people))
	}
	return people
}
