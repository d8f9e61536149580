package agent

import (
	"errors"
	"fmt"
	"maps"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/excerpt"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/trust"
)

// trustDoc is what an agent must never forget: the newest pointer it accepted, and the bundle it enforces.
type trustDoc struct {
	Format   int            `json:"format"` // 1; a file without it is damaged, not empty
	Memory   trust.Memory   `json:"memory"`
	Pointer  bundle.Pointer `json:"pointer"`
	Signers  []string       `json:"signers,omitempty"` // IDs of the keys that signed it, sorted
	Enforced release        `json:"enforced,omitzero"` // verified, complete in the cache and known to compile
	// Previous is what was enforced before and had come to the end of a run, for going back when Enforced crashes the agent.
	Previous release `json:"previous,omitzero"`
	// Turn is why the node runs what it runs.
	Turn turned `json:"turn,omitzero"`
	// Promoted is where the channel was when what people approved last was asked for.
	Promoted trust.Base `json:"promoted,omitzero"`
	// Order is what people have set modes to last.
	Order standing `json:"order,omitzero"`
	// Attempts counts, for a bundle that no run has come to its end with, the processes that began to work with it.
	Attempts map[string]int `json:"attempts,omitempty"`
	// Aside are digests that could not be compiled or crashed the agent. They are not tried again by the same version of
	// the agent before the pointer has named another bundle.
	Aside map[string]aside `json:"aside,omitempty"`
}

// release is a bundle with the commit it was built from and the secrets that go with it.
type release struct {
	bundle.Descriptor
	Commit string `json:"commit,omitempty"`
	// Secrets are what is sealed to the nodes of the channel, as the pointer named it with the bundle.
	Secrets bundle.Target `json:"secrets,omitzero"`
}

// turned is the outcome of a decision between stable and candidate.
type turned struct {
	Why   rollout.Why `json:"why"`
	Stage string      `json:"stage,omitempty"` // of the rollout, that let the node in
}

type aside struct {
	Agent  string `json:"agent"` // version
	Reason string `json:"reason"`
}

// loadTrust reads what is trusted. It is written at enrolment, so a file that is missing, damaged or empty is an error: to
// begin anew would let an old pointer in.
func (s State) loadTrust() (trustDoc, error) {
	var doc trustDoc
	found, err := s.readJSON(trustFile, &doc)
	switch {
	case err != nil:
	case !found:
		err = fmt.Errorf("reading %s: it is not there", trustFile)
	case doc.Format != 1:
		err = fmt.Errorf("reading %s: it is of no format that is known here", trustFile)
	case doc.Memory.Epoch != doc.Pointer.Epoch || doc.Memory.Seq != doc.Pointer.Seq:
		err = fmt.Errorf("reading %s: it remembers pointer %d.%d and holds %s", trustFile, doc.Memory.Epoch, doc.Memory.Seq, doc.Pointer.Version())
	case doc.Enforced.Digest != "" && doc.Memory.Seq == 0:
		err = fmt.Errorf("reading %s: it names a bundle and no pointer", trustFile)
	}
	if err != nil {
		return doc, fault.WithHint(err, "without it an old pointer could be replayed: restore the file, or enrol again with --force")
	}
	return doc, nil
}

// beginTrust makes the file of a node that has seen no pointer yet. What the node remembers of the same channel stays.
func (s State) beginTrust(e Enrolment) error {
	if doc, err := s.loadTrust(); err == nil && doc.Pointer.Fleet == e.Fleet && doc.Pointer.Channel == e.Channel {
		return nil
	}
	return s.writeJSON(trustFile, trustDoc{Format: 1})
}

func (a *Agent) trustCopy() trustDoc {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.trust
}

// saveTrust keeps doc on disk, then in memory. A dry run keeps it in memory alone.
func (a *Agent) saveTrust(doc trustDoc) error {
	if !a.DryRun {
		if err := a.State.writeJSON(trustFile, doc); err != nil {
			return fmt.Errorf("keeping what is trusted: %w", err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trust = doc
	return nil
}

// crashLimit is how many processes may end with a bundle that no run has come to its end with before it is put aside.
const crashLimit = 3

// errAside says that a bundle was put aside.
var errAside = errors.New("put aside")

// begin counts, on disk, that this process starts to work with a bundle that is not proven. It fails with errAside when
// too many have died of it. A bundle that is proven costs no write.
func (a *Agent) begin(digest string) error {
	doc := a.trustCopy()
	died := doc.Attempts[digest]
	if a.DryRun || a.begun == digest || digest == doc.Enforced.Digest && died == 0 {
		return nil
	}
	if died >= crashLimit {
		return a.putAside(digest, fmt.Sprintf("the agent did not survive %d attempts with it", died))
	}
	doc.Attempts = with(doc.Attempts, digest, died+1)
	if err := a.saveTrust(doc); err != nil {
		return err
	}
	a.begun = digest
	return nil
}

// survived forgets the attempts with a bundle: this process came to the end of what it began.
func (a *Agent) survived(digest string) error {
	doc := a.trustCopy()
	if _, counted := doc.Attempts[digest]; !counted {
		return nil
	}
	doc.Attempts = maps.Clone(doc.Attempts)
	delete(doc.Attempts, digest)
	a.begun = ""
	return a.saveTrust(doc)
}

// putAside goes back from a bundle to the one before it, if it is in force, and does not try it again. It always fails
// with errAside.
func (a *Agent) putAside(digest, reason string) error {
	reason = excerpt.Of(reason, maxDetail)
	doc := a.trustCopy()
	doc.Aside = with(doc.Aside, digest, aside{Agent: a.Version, Reason: reason})
	doc.Attempts = maps.Clone(doc.Attempts)
	delete(doc.Attempts, digest)
	if doc.Enforced.Digest == digest {
		doc.Enforced, doc.Previous = doc.Previous, release{}
	}
	a.refusals.Add(a.Now(), "aside", reason, digest)
	a.Log.Error("a bundle is put aside", "digest", digest, "reason", reason, "enforced", doc.Enforced.Digest)
	if err := a.saveTrust(doc); err != nil {
		// In memory it is put aside all the same; a later process finds out for itself.
		a.trouble(err)
		a.mu.Lock()
		a.trust = doc
		a.mu.Unlock()
	}
	return fmt.Errorf("bundle %s: %w: %s", digest, errAside, reason)
}

// with returns a copy of m that has one more entry.
func with[V any](m map[string]V, key string, value V) map[string]V {
	out := make(map[string]V, len(m)+1)
	maps.Copy(out, m)
	out[key] = value
	return out
}
