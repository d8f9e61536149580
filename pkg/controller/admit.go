package controller

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/policy"
)

// Rules are what commits must have to be published.
type Rules struct {
	SignedCommits bool // each by somebody in gitsource.SignersFile or gitsource.KeyringFile
	Approvals     policy.Approvals
}

// PolicyRules reads the rules of a policy repository from its fleet.yaml.
func PolicyRules(fsys fs.FS) (Rules, error) {
	f, err := policy.LoadFleet(fsys)
	if err != nil {
		return Rules{}, err
	}
	return RulesOf(f), nil
}

// RulesOf are the rules that a fleet has set.
func RulesOf(f *policy.Fleet) Rules {
	return Rules{SignedCommits: f.Trust.Commits == policy.CommitsSigned, Approvals: f.Trust.Approvals}
}

// Check refuses files in which nobody could sign or approve the next commit, although the rules ask for it.
func (r Rules) Check(fsys fs.FS) error {
	if !r.SignedCommits && r.Approvals.Count == 0 {
		return nil
	}
	signers, err := gitsource.SignersIn(fsys)
	if err != nil {
		return err
	}
	if r.SignedCommits && signers.None() {
		return fault.Problems{{Pos: fault.Pos{File: "fleet.yaml"}, Code: "missing-file", Msg: "commits are to be signed, and nobody may sign them",
			Hint: "list the public keys of who may in " + gitsource.SignersFile + ": ada@example.com ssh-ed25519 AAAA…"}}
	}
	return checkApprovers(r.Approvals, signers)
}

// admit refuses a commit that breaks the rules, and returns who approved it. What was accepted last says what the rules are
// and who may sign, so that a commit cannot let itself in; every commit since then counts. The first commit of all is held
// against its own rules.
func (c *Controller) admit(ctx context.Context, commit gitsource.Commit, tree fs.FS) (approvals []string, err error) {
	if c.cfg.Rules == nil {
		return nil, nil
	}
	own, err := c.cfg.Rules(tree)
	if err != nil {
		return nil, failed(FailedPolicy, err)
	}
	if err := own.Check(tree); err != nil {
		return nil, failed(FailedPolicy, err)
	}
	from, base, rules := c.cfg.Git.Accepted(), tree, own
	if _, err := c.cfg.Git.Lookup(from); from != "" && errors.Is(err, gitsource.ErrNoCommit) && c.cfg.Git.Replaced() == from {
		// The operator names the new commit, and nothing is left of the old one to hold it against.
		c.cfg.Log.Warn("what was accepted last is gone: the commit that the operator allows is held against its own rules", "old", from, "new", commit.Hash)
		from = ""
	}
	if from != "" {
		last, err := c.cfg.Git.Lookup(from)
		if err != nil {
			return nil, failed(FailedGit, err)
		}
		old, err := c.cfg.Git.Tree(last)
		if err != nil {
			return nil, failed(FailedGit, err)
		}
		base = old
		if rules, err = c.cfg.Rules(old); err != nil {
			return nil, failed(FailedTrust, fmt.Errorf("reading the rules of commit %.12s, which was accepted last: %w", from, err))
		}
	}
	if from == "" && c.lead != nil { // whoever may push to another branch does not make its first rules
		if base, err = c.lead.base(); err != nil {
			return nil, failed(FailedGit, err)
		}
		if rules, err = c.cfg.Rules(base); err != nil {
			return nil, failed(FailedTrust, fmt.Errorf("reading the rules of the branch that names this one: %w", err))
		}
	}
	if !rules.SignedCommits && rules.Approvals.Count == 0 {
		return nil, nil
	}
	signers, err := gitsource.SignersIn(base)
	if err != nil {
		return nil, failed(FailedTrust, err)
	}
	if rules.SignedCommits {
		if err := c.cfg.Git.Verify(ctx, from, commit, signers); err != nil {
			return nil, failed(FailedTrust, err)
		}
	}
	if rules.Approvals.Count == 0 {
		return nil, nil
	}
	return c.approved(ctx, from, commit, rules.Approvals, signers)
}
