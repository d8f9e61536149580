package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/forge"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/policy"
)

// A Forge is where a repository is hosted; forge.Client is one.
type Forge interface {
	// Requests finds the merged requests that brought a commit to a branch.
	Requests(ctx context.Context, commit, branch string) ([]forge.Request, error)
	// Tell sets the state of a commit.
	Tell(ctx context.Context, commit string, s forge.State) error
	// Link is the address of a line of a file.
	Link(commit, name string, line int) string
}

const (
	maxAsked   = 50               // commits that the forge is asked about in one round
	askAgain   = time.Minute      // after which it is asked about the same commit again, unless a hook nudges
	askTimeout = 30 * time.Second // of all questions of one round
)

// asked is what the forge said about a commit.
type asked struct {
	at       time.Time
	requests []forge.Request
}

// reviewed asks the forge who approved some steps. It returns their votes, and who opened the requests, by the hash of the
// step; and approvals that do not count, with the reason.
func (c *Controller) reviewed(ctx context.Context, steps []gitsource.Step, rule policy.Approvals) (votes map[string][]vote, opened map[string][]string, void []string, err error) {
	if c.cfg.Forge == nil || !slices.ContainsFunc(rule.From, atForge) {
		return nil, nil, nil, nil
	}
	if len(steps) > maxAsked {
		return nil, nil, nil, failed(FailedForge, fault.WithHint(fmt.Errorf("%d commits wait for approvals, and the forge is asked about %d at most", len(steps), maxAsked),
			"approve the newest by signing it: `vigo approve-commit`"))
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	again := c.fresh.Swap(false)
	before := c.asked
	c.asked = make(map[string]asked, len(steps))
	votes, opened = map[string][]vote{}, map[string][]string{}
	for _, step := range steps {
		hash := step.Commit.Hash
		answer, known := before[hash]
		if !known || again || c.cfg.Now().Sub(answer.at) >= askAgain {
			if answer.requests, err = c.cfg.Forge.Requests(ctx, hash, c.cfg.Git.Branch()); err != nil {
				return nil, nil, nil, failed(FailedForge, err)
			}
			answer.at = c.cfg.Now()
		}
		c.asked[hash] = answer
		for _, r := range answer.requests {
			if reason := mergedAs(step, r); reason != "" {
				void = append(void, reason)
				continue
			}
			opened[hash] = append(opened[hash], account(r.Author))
			for _, who := range r.Approved {
				votes[hash] = append(votes[hash], vote{names: []string{account(who)}, shown: fmt.Sprintf("@%s #%d", who, r.Number)})
			}
			for _, who := range r.Stale {
				void = append(void, fmt.Sprintf("@%s approved #%d before its last commit", who, r.Number))
			}
		}
	}
	return votes, opened, void, nil
}

func atForge(p policy.Person) bool {
	return slices.ContainsFunc(p, func(name string) bool { return name[0] == '@' })
}

// account is the name of an account as the policy has it.
func account(login string) string { return "@" + strings.ToLower(login) }

// mergedAs says why a request is not what a step brought in: a merge must be of its head, and of nothing else.
func mergedAs(step gitsource.Step, r forge.Request) string {
	if len(step.Merged) == 0 || len(step.Merged) == 1 && step.Merged[0] == r.Head {
		return ""
	}
	return fmt.Sprintf("#%d was approved with commit %.12s, and %.12s merges something else", r.Number, r.Head, step.Commit.Hash)
}
