package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/excerpt"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/trait"
	"vigo.dev/pkg/trust"
)

// updateTimeout bounds looking for a pointer and fetching what it names. Convergence never waits longer for a
// registry than this.
const updateTimeout = 60 * time.Second

// update follows the trust root when that is due, looks at the channel pointer and takes over the bundle it names. Whatever
// is refused leaves the bundle in force, the cache and the host as they were. What is refused for its keys is looked at
// again when there is a newer root.
func (a *Agent) update(ctx context.Context, set trait.Set) error {
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	if a.rootDue() {
		a.followRoot(ctx)
	}
	err := a.look(ctx, set)
	if mayNeedRoot(err) && a.followRoot(ctx) {
		err = a.look(ctx, set)
	}
	a.note(err)
	return err
}

// look looks at the channel pointer and takes over the bundle it names.
func (a *Agent) look(ctx context.Context, set trait.Set) error {
	const doing = "reading the channel pointer"
	stage := a.Origin.Stage()
	var shown trust.SignedPointer
	err := a.verifying(func(v *trust.Verifier) (err error) {
		shown, err = v.SignedPointer(ctx, stage, a.Enrolment.Fleet, a.Enrolment.Channel)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	doc, p := a.trustCopy(), shown.Pointer
	memory, err := doc.Memory.Accept(p, shown.Payload, a.Now())
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	slices.Sort(shown.Keys)
	if p.Compare(doc.Pointer) != 0 || !slices.Equal(shown.Keys, doc.Signers) {
		doc.Memory, doc.Pointer, doc.Signers, doc.Aside = memory, p, shown.Keys, asideStill(doc.Aside, p)
		// On disk before it is acted on, so that no crash lets an older pointer in again.
		if err := a.saveTrust(doc); err != nil {
			return a.trouble(err)
		}
		if err := a.keepStaged(ctx, stage); err != nil {
			return a.trouble(err)
		}
	}
	return errors.Join(a.ordered(p), a.follow(ctx, p, set, stage))
}

// follow takes over what it is this node's turn to have under pointer p.
func (a *Agent) follow(ctx context.Context, p bundle.Pointer, set trait.Set, stage *ocistore.Stage) error {
	doc := a.trustCopy()
	t, err := a.decide(p)
	if err != nil {
		return err
	}
	if t.Digest == doc.Enforced.Digest {
		if t.secrets.Digest == doc.Enforced.Secrets.Digest {
			return nil
		}
		return a.takeSecrets(ctx, stage, t.secrets, func() error { return a.keepStaged(ctx, stage) })
	}
	return a.adopt(ctx, p, t, set, stage)
}

// adopt takes over the bundle that it is this node's turn to have under pointer p.
func (a *Agent) adopt(ctx context.Context, p bundle.Pointer, t turn, set trait.Set, stage *ocistore.Stage) error {
	const doing = "taking over a bundle"
	doc := a.trustCopy()
	digest := t.Digest
	if was, ok := doc.Aside[digest]; ok && was.Agent == a.Version {
		return fmt.Errorf("%s: %w", doing, &trust.Refusal{Name: "aside", Detail: was.Reason, What: digest})
	}
	if slices.Contains(p.Revoked, digest) {
		return fmt.Errorf("%s: %w", doing, &trust.Refusal{Name: bundle.Revoked, Detail: "the pointer names a bundle that it revokes", What: digest})
	}
	d := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: digest, Size: t.Size}
	l, err := a.open(ctx, stage, d)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	approval, err := a.approved(ctx, stage, d)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	secrets, err := a.openSecrets(ctx, stage, t.secrets)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if err := a.begin(digest); err != nil {
		return a.notBegun(err)
	}
	l.give(secrets)
	err = a.tryOut(ctx, l, set, stage)
	var mistake *uncompilable
	switch {
	case errors.As(err, &mistake):
		return a.putAside(digest, mistake.Error())
	case err != nil:
		return errors.Join(fmt.Errorf("%s: %w", doing, err), a.trouble(a.survived(digest)))
	}
	if err := a.keepStaged(ctx, stage); err != nil {
		// What is not whole in the cache could not be enforced after a restart without a network.
		return errors.Join(a.trouble(err), a.trouble(a.survived(digest)))
	}
	if p.Rollout != nil {
		a.announce(ctx, digest)
	}
	doc = a.trustCopy()
	if doc.Attempts[doc.Enforced.Digest] == 0 {
		doc.Previous = doc.Enforced // else no run has come to its end with it, and it is nothing to go back to
	}
	doc.Enforced, doc.Aside = release{d, l.config.Source.Commit, t.secrets}, asideStill(doc.Aside, p)
	if len(approval.Keys) > 0 {
		doc.Promoted = approval.Request.From
	}
	if err := a.saveTrust(doc); err != nil {
		return a.trouble(err)
	}
	a.mu.Lock()
	a.loaded = l
	a.mu.Unlock()
	a.Log.Info("enforcing a new bundle", "digest", digest, "commit", doc.Enforced.Commit, "pointer", p.Version())
	a.prune(ctx, doc)
	return nil
}

// approved refuses new content that people have not approved for this channel, when the trust root asks for that. What is
// enforced already stays, whoever approves from now on.
func (a *Agent) approved(ctx context.Context, src bundle.Source, d bundle.Descriptor) (approval trust.Approval, err error) {
	err = a.verifying(func(v *trust.Verifier) (err error) {
		approval, err = v.Approved(ctx, src, d, a.Enrolment.Fleet, a.Enrolment.Channel)
		return err
	})
	if err == nil && len(approval.Keys) > 0 {
		err = approval.After(a.trustCopy().Promoted)
	}
	return approval, err
}

// notBegun reports why work with a bundle was not begun: it is put aside, or that could not be written down.
func (a *Agent) notBegun(err error) error {
	if errors.Is(err, errAside) {
		return err
	}
	return a.trouble(err)
}

// tryOut fetches what this node needs of a bundle and compiles it, so that one that cannot be is never in force.
func (a *Agent) tryOut(ctx context.Context, l *loaded, set trait.Set, stage *ocistore.Stage) error {
	if err := l.parse(); err != nil {
		return err
	}
	if err := a.complete(ctx, l, set, stage); err != nil {
		return err
	}
	if _, err := a.Language.Build(l.policy, l.content, a.input(l, set)); err != nil {
		return &uncompilable{fmt.Errorf("it cannot be compiled for this node: %w", err)}
	}
	a.prepare(ctx, l, a.input(l, set), stage)
	return nil
}

// keepStaged puts what was accepted into the cache; a dry run does not.
func (a *Agent) keepStaged(ctx context.Context, stage *ocistore.Stage) error {
	if a.DryRun {
		return nil
	}
	return stage.Commit(ctx)
}

// prune drops from the cache what neither the bundle in force nor the one before it needs.
func (a *Agent) prune(ctx context.Context, doc trustDoc) {
	if a.DryRun {
		return
	}
	if err := a.Origin.Prune(ctx, doc.Enforced.Digest, doc.Previous.Digest, doc.Enforced.Secrets.Digest, doc.Previous.Secrets.Digest); err != nil {
		a.Log.Warn("clearing the cache", "err", err)
	}
}

// refused remembers a refusal for the next check-in; an error that is none (nobody answered) is only returned.
func (a *Agent) refused(doing string, err error) error {
	a.note(err)
	return fmt.Errorf("%s: %w", doing, err)
}

// note remembers a refusal for the next check-in.
func (a *Agent) note(err error) {
	var r *trust.Refusal
	if errors.As(err, &r) {
		a.refusals.Add(a.Now(), r.Name, excerpt.Of(r.Detail, maxDetail), excerpt.Of(r.What, maxDetail))
	}
}
