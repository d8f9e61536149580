package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/policy"
)

// An UnapprovedError names the moves of the branch that have too few approvals.
type UnapprovedError struct {
	Rule    policy.Approvals
	Branch  string
	Waiting []Waiting // the oldest first
	Void    []string  // signatures that do not count, and why
}

// A Waiting commit has not been approved by as many people as have to.
type Waiting struct {
	Commit   gitsource.Commit
	Approved []string // by whom it has
	Authors  []string // who approved it and wrote it, which does not count
}

// Error implements error.
func (e *UnapprovedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d commits wait for approvals: %d asked for", len(e.Waiting), e.Rule.Count)
	if len(e.Rule.From) > 0 {
		fmt.Fprintf(&b, " of %s", strings.Join(displayed(e.Rule.From), ", "))
	}
	for i, w := range e.Waiting {
		if i == 10 {
			fmt.Fprintf(&b, "\n  and %d more", len(e.Waiting)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %.12s %q by %s: %s", w.Commit.Hash, w.Commit.Subject, w.Commit.Author, tallied(w))
	}
	for i, reason := range e.Void {
		if i == 5 {
			fmt.Fprintf(&b, "\n  and %d more approvals that do not count", len(e.Void)-i)
			break
		}
		b.WriteString("\n  does not count: " + reason)
	}
	return b.String()
}

func tallied(w Waiting) string {
	text := "nobody has"
	if len(w.Approved) > 0 {
		text = "only " + strings.Join(w.Approved, ", ")
	}
	if len(w.Authors) > 0 {
		text += "; not counted, being the author: " + strings.Join(w.Authors, ", ")
	}
	return text
}

// Hint implements fault.Hinter.
func (e *UnapprovedError) Hint() string {
	last := e.Waiting[len(e.Waiting)-1].Commit.Hash
	return fmt.Sprintf("approve it at the forge, or `vigo approve-commit %.12s --branch %s` and push the ref it names", last, e.Branch)
}

func displayed(people []policy.Person) []string {
	names := make([]string, len(people))
	for i, p := range people {
		names[i] = p[0]
	}
	return names
}

// checkApprovers refuses rules that cannot be kept: fewer people may approve than have to.
func checkApprovers(rule policy.Approvals, signers gitsource.Signers) error {
	if n := len(signers.Approvers()); rule.Count > n && len(rule.From) == 0 {
		return fault.Problems{{Pos: fault.Pos{File: "fleet.yaml"}, Code: "missing-file", Msg: fmt.Sprintf("%d approvals are asked for, and only %d may give them", rule.Count, n),
			Hint: "list the public keys of who may in " + gitsource.SignersFile + ", or their accounts in trust.approvals.from"}}
	}
	return nil
}

// A vote is an approval by somebody who is known by some names.
type vote struct {
	names []string // in lower case
	shown string   // how it is recorded
}

// approved says who approved what leads from one commit to another, or refuses it. Each move of the branch needs the
// approvals; who signs one commit approves all that is before it, too.
func (c *Controller) approved(ctx context.Context, from string, to gitsource.Commit, rule policy.Approvals, signers gitsource.Signers) ([]string, error) {
	steps, err := c.cfg.Git.Steps(ctx, from, to, signers)
	if err != nil {
		return nil, failed(FailedGit, err)
	}
	hashes := make([]string, len(steps))
	for i, step := range steps {
		hashes[i] = step.Commit.Hash
	}
	signed, err := c.cfg.Git.Approvals(ctx, hashes, signers, c.cfg.Now())
	if err != nil {
		return nil, failed(FailedGit, fmt.Errorf("looking for approvals: %w", err))
	}
	refused := &UnapprovedError{Rule: rule, Branch: c.cfg.Git.Branch()}
	for _, a := range signed {
		if a.By == "" {
			refused.Void = append(refused.Void, a.Ref+": "+a.Reason)
		}
	}
	under := signatures(steps, signed)
	var short []gitsource.Step // signatures alone are not enough: the forge may know more
	for i, step := range steps {
		if approved, _ := tally(rule, step.Authors, under[i]); len(approved) < rule.Count {
			short = append(short, step)
		}
	}
	votes, opened, void, err := c.reviewed(ctx, short, rule)
	if err != nil {
		return nil, err
	}
	refused.Void = append(refused.Void, void...)
	var all []string
	for i, step := range steps {
		approved, authors := tally(rule, slices.Concat(step.Authors, opened[hashes[i]]), slices.Concat(under[i], votes[hashes[i]]))
		if len(approved) < rule.Count {
			refused.Waiting = append(refused.Waiting, Waiting{Commit: step.Commit, Approved: approved, Authors: authors})
		}
		all = append(all, approved...)
	}
	if len(refused.Waiting) > 0 {
		return nil, failed(FailedApproval, refused)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// signatures collects, for each step, those under it or a later one.
func signatures(steps []gitsource.Step, signed []gitsource.Approval) [][]vote {
	under := make([][]vote, len(steps))
	var above []vote
	for i := len(steps) - 1; i >= 0; i-- {
		for _, a := range signed {
			if a.Commit == steps[i].Commit.Hash && a.By != "" {
				above = append(above, vote{names: gitsource.Principals(a.By), shown: a.By})
			}
		}
		under[i] = slices.Clone(above)
	}
	return under
}

// tally counts the people who approved a step, each once; those who wrote it apart.
func tally(rule policy.Approvals, wrote []string, votes []vote) (approved, authors []string) {
	counted := map[string]bool{}
	for _, v := range votes {
		names := v.names
		if len(rule.From) > 0 {
			i := slices.IndexFunc(rule.From, func(p policy.Person) bool { return overlap(p, v.names) })
			if i < 0 {
				continue
			}
			names = rule.From[i]
		}
		if counted[names[0]] {
			continue
		}
		counted[names[0]] = true
		if rule.NotAuthor && (overlap(names, wrote) || overlap(v.names, wrote)) {
			authors = append(authors, v.shown)
			continue
		}
		approved = append(approved, v.shown)
	}
	return approved, authors
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(name string) bool { return slices.Contains(b, name) })
}
