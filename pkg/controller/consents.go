package controller

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/rollout"
)

// agreed is what people have agreed to by commits, of one bundle and up to one commit.
type agreed struct {
	bundle, tip string
	consents    []rollout.Command
}

// consents are the stages of a rollout of a bundle to which people have agreed by signed commits, in the files that its spec
// names. Who may sign is as in the commit of the bundle: nobody lets themselves in with what they approve.
func (c *Controller) consents(ctx context.Context, name string, spec rollout.Spec, wanted bundle.Target) ([]rollout.Command, error) {
	files := map[string][]string{} // to the stages that name it
	for _, st := range spec.Stages {
		if st.Approve.File != "" {
			files[st.Approve.File] = append(files[st.Approve.File], st.Name)
		}
	}
	tip := c.state.Built.Commit
	if len(files) == 0 || wanted.Commit == "" || tip == "" {
		return nil, nil
	}
	if known := c.agreements[name]; known.bundle == wanted.Digest && known.tip == tip {
		return known.consents, nil
	}
	base, err := c.treeOf(wanted.Commit)
	if errors.Is(err, gitsource.ErrNoCommit) {
		return nil, nil // it was promoted from another branch
	}
	if err != nil {
		return nil, failed(FailedGit, err)
	}
	signers, err := gitsource.SignersIn(base)
	if err != nil {
		return nil, failed(FailedPolicy, err)
	}
	all := agreed{bundle: wanted.Digest, tip: tip}
	for file, stages := range files {
		found, err := c.consentsIn(ctx, file, stages, wanted.Commit, signers)
		if err != nil {
			return nil, failed(FailedGit, fmt.Errorf("looking who agreed to the rollout of %s: %w", name, err))
		}
		all.consents = append(all.consents, found...)
	}
	slices.SortFunc(all.consents, func(a, b rollout.Command) int { return strings.Compare(a.Stage+a.By, b.Stage+b.By) })
	c.agreements[name] = all
	return all.consents, nil
}

// consentsIn reads one file, as it is now, and finds for each of its lines who signed the commit that added it.
func (c *Controller) consentsIn(ctx context.Context, file string, stages []string, commit string, signers gitsource.Signers) ([]rollout.Command, error) {
	tree, err := c.treeOf(c.state.Built.Commit)
	if err != nil {
		return nil, err
	}
	data, err := fs.ReadFile(tree, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	lines, err := policy.ParseConsents(file, data)
	if err != nil {
		return nil, err
	}
	changes, err := c.cfg.Git.Changes(ctx, commit, c.state.Built.Commit, file, signers, policy.MaxDocument)
	if err != nil {
		return nil, err
	}
	var found []rollout.Command
	for _, line := range lines {
		if !strings.HasPrefix(commit, line.Commit) || !slices.Contains(stages, line.Stage) {
			continue
		}
		by, why := signerOf(line, file, changes)
		if by == "" {
			c.cfg.Log.Warn("an approval in the policy does not count", "file", file, "stage", line.Stage, "by", line.By, "why", why)
			continue
		}
		found = append(found, rollout.Command{Do: rollout.DoApprove, Stage: line.Stage, By: by})
	}
	return found, nil
}

// signerOf finds who signed the commit that added a line, when that is who it says agrees.
func signerOf(line policy.Consent, file string, changes []gitsource.Change) (by, why string) {
	why = "no commit since the bundle adds it"
	for _, change := range changes {
		if !has(file, change.After, line) || has(file, change.Before, line) {
			continue
		}
		switch {
		case change.By == "":
			why = fmt.Sprintf("commit %.12s: %s", change.Commit.Hash, change.Reason)
		case !slices.Contains(gitsource.Principals(change.By), strings.ToLower(line.By)):
			why = fmt.Sprintf("commit %.12s is signed by %s", change.Commit.Hash, change.By)
		default:
			return change.By, ""
		}
	}
	return "", why
}

// consented refuses what a judge says when it opens a stage that people have to agree to by commits alone, and too few have. Stages
// that were open stay so.
func consented(spec rollout.Spec, prev, next rollout.Signed, consents []rollout.Command) error {
	if next.Directive == nil || spec.Immediate {
		return nil
	}
	var faults []error
	for _, admit := range next.Directive.Admit {
		was := prev.Directive != nil && prev.Directive.ID == next.Directive.ID &&
			slices.ContainsFunc(prev.Directive.Admit, func(a rollout.Admit) bool { return a.Stage == admit.Stage })
		i := slices.IndexFunc(spec.Stages, func(st rollout.Stage) bool { return st.Name == admit.Stage })
		if was || i < 0 || !spec.Stages[i].Approve.OnlyCommits {
			continue
		}
		var people []string
		for _, one := range consents {
			if one.Stage == admit.Stage && spec.Stages[i].Approve.May(one.By) && !slices.ContainsFunc(people, func(by string) bool { return rollout.SamePerson(by, one.By) }) {
				people = append(people, one.By)
			}
		}
		if want := spec.Stages[i].Approve.Count; len(people) < want {
			faults = append(faults, fmt.Errorf("checking a verdict: it opens stage %s, to which %d of %d people have agreed by commits", admit.Stage, len(people), want))
		}
	}
	return errors.Join(faults...)
}

// has reports whether a file holds a line. One that cannot be read holds none.
func has(file string, data []byte, line policy.Consent) bool {
	if len(data) == 0 {
		return false
	}
	lines, err := policy.ParseConsents(file, data)
	return err == nil && slices.Contains(lines, line)
}
