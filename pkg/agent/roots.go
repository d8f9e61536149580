package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/trust"
)

// rootInterval is how often an agent looks for a newer trust root when nothing asks for one.
const rootInterval = time.Hour

// Refusals that a newer trust root may resolve.
var ofKeys = []string{bundle.WrongKey, bundle.KeyExpired, bundle.Threshold, bundle.WrongEpoch, bundle.Approvals}

// mayNeedRoot says whether err is a refusal that a newer trust root may resolve.
func mayNeedRoot(err error) bool {
	var r *trust.Refusal
	return errors.As(err, &r) && slices.Contains(ofKeys, r.Name)
}

// rootDue says whether it is time to look for a newer trust root. The time of a clock that was set back counts as due.
func (a *Agent) rootDue() bool {
	since := a.Now().Sub(a.rooted)
	return a.rooted.IsZero() || since < 0 || since >= rootInterval
}

// followRoot walks from the trust root in force to the newest, and says whether it changed. A look that fails or is
// refused is due again in the next cycle; the root in force stays.
func (a *Agent) followRoot(ctx context.Context) (changed bool) {
	for {
		stage := a.Origin.Stage()
		next, err := a.rootCopy().Successor(ctx, stage)
		switch {
		case err == nil:
			if a.trouble(a.adoptRoot(ctx, next.Root, stage)) != nil {
				return changed
			}
			changed = true
			continue
		case errors.Is(err, bundle.ErrNotFound):
			a.rooted = a.Now()
		case errors.Is(err, ocistore.ErrOffline):
			a.Log.Debug("looking for a newer trust root", "err", err)
		case ctx.Err() == nil:
			a.Log.Warn("looking for a newer trust root; the one in force stays", "err", a.refused("following the trust root", err))
		}
		return changed
	}
}

// adoptRoot puts a root in force that was verified by the one before it. It is on disk before anything is verified with
// it, so that no crash brings the older one back. What was read with the older one is verified again.
func (a *Agent) adoptRoot(ctx context.Context, next trust.Root, stage *ocistore.Stage) error {
	document, err := next.Marshal()
	if err != nil {
		return err
	}
	if err := a.keepStaged(ctx, stage); err != nil {
		return err
	}
	if !a.DryRun {
		if err := atomicfile.Write(a.State.Path(rootFile), document, 0o600); err != nil {
			return fmt.Errorf("keeping the trust root: %w", err)
		}
	}
	a.mu.Lock()
	a.root, a.loaded = next, nil
	a.mu.Unlock()
	a.Log.Info("a newer trust root is in force", "version", next.Version)
	return nil
}

func (a *Agent) rootCopy() trust.Root {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.root
}

// verifying calls do with a verifier for the root in force. The time is never taken to be before the newest pointer; but a
// pointer of an epoch before that root may have been issued by a thief, for the end of all windows: then keys that are good
// by the clock are good.
func (a *Agent) verifying(do func(*trust.Verifier) error) error {
	root := a.rootCopy()
	err := do(trust.NewVerifier(root, a.now))
	var r *trust.Refusal
	if errors.As(err, &r) && r.Name == bundle.KeyExpired && a.trustCopy().Memory.Epoch < root.Version {
		return do(trust.NewVerifier(root, a.Now))
	}
	return err
}

// standing refuses to enforce what a pointer named whose keys the root in force does not trust any more. What an older
// version of the agent has written does not say which keys these were; its next look at the pointer does.
func (a *Agent) standing(doc trustDoc) error {
	root := a.rootCopy()
	if len(doc.Signers) == 0 || root.Enough(trust.RoleChannel(a.Enrolment.Channel), doc.Signers) {
		return nil
	}
	return &trust.Refusal{Name: bundle.WrongKey, What: "pointer " + doc.Pointer.Version(),
		Detail: fmt.Sprintf("it was accepted before; root %d does not trust the keys that signed it. The host stays as it is until a pointer under this root comes", root.Version)}
}

// LoadRoot reads the trust root in force: the one that was pinned at enrolment, or one that followed it.
func (s State) LoadRoot() (trust.Root, error) {
	data, err := os.ReadFile(s.Path(rootFile))
	if err != nil {
		return trust.Root{}, again(fmt.Errorf("reading the trust root: %w", err))
	}
	root, err := trust.ParseRoot(data)
	if err != nil {
		return trust.Root{}, again(fmt.Errorf("reading the trust root: %w", err))
	}
	return root, nil
}
