package bundle

import (
	"cmp"
	"fmt"
	"time"

	"vigo.dev/pkg/rollout"
)

// PointerPredicate is the in-toto predicate type of a signed channel pointer.
const PointerPredicate = "https://vigo.dev/channel/v1"

// A Pointer says what the nodes of a channel should run now. It is the same bytes for every node, signed by the
// channel role key. See design: a pointer never goes back; a wanted content rollback is a new Seq with an old digest.
type Pointer struct {
	Fleet     string    `json:"fleet"`
	Channel   string    `json:"channel"`
	Epoch     int64     `json:"epoch"`
	Seq       int64     `json:"seq"`
	Issued    time.Time `json:"issued"`
	Expires   time.Time `json:"expires"`
	Stable    Target    `json:"stable"`
	Candidate *Target   `json:"candidate,omitempty"`
	Prefetch  []Target  `json:"prefetch,omitempty"`
	Revoked   []string  `json:"revoked,omitempty"` // bundle digests that must not run
	// Modes are those of the newest commit, for nodes that do not have its bundle yet. They count where the trust root asks
	// nobody to agree.
	Modes map[string]bool `json:"modes,omitempty"`
	// Order is what people have set modes to, over what policy says: Sigstore bundles of one order.
	Order   [][]byte `json:"order,omitempty"`
	Secrets *Target  `json:"secrets,omitempty"` // what is sealed to the nodes of the channel
	// CandidateSecrets are sealed to the nodes that have the candidate.
	CandidateSecrets *Target `json:"candidateSecrets,omitempty"`
	// Rollout says who may take the candidate; there is a candidate if and only if there is one.
	Rollout *rollout.Directive `json:"rollout,omitempty"`
	Prev    string             `json:"prev,omitempty"` // digest of the previous pointer's payload
}

// A Target is a manifest a pointer names: of a bundle, or of sealed secrets.
type Target struct {
	Digest string `json:"digest"` // of the manifest
	Size   int64  `json:"size"`
	Commit string `json:"commit,omitempty"`
}

// Version renders epoch and sequence number, such as "3.1412".
func (p Pointer) Version() string { return fmt.Sprintf("%d.%d", p.Epoch, p.Seq) }

// Compare orders two pointers by (epoch, seq).
func (p Pointer) Compare(q Pointer) int {
	switch {
	case p.Epoch != q.Epoch:
		return cmp.Compare(p.Epoch, q.Epoch)
	default:
		return cmp.Compare(p.Seq, q.Seq)
	}
}

// Tags returns the tag that moves with the channel and the one that stays with this pointer.
func (p Pointer) Tags() (moving, fixed string) {
	moving = "channel-" + p.Channel
	return moving, moving + "-" + p.Version()
}

// Names returns the digests of all that nodes may take because of the pointer: the bundles that may run (stable, candidate,
// and those to prefetch), and the sealed secrets.
func (p Pointer) Names() []string {
	names := []string{p.Stable.Digest}
	if p.Candidate != nil {
		names = append(names, p.Candidate.Digest)
	}
	for _, t := range p.Prefetch {
		names = append(names, t.Digest)
	}
	for _, t := range []*Target{p.Secrets, p.CandidateSecrets} {
		if t != nil {
			names = append(names, t.Digest)
		}
	}
	return names
}

// Signed is what the pointer says of who runs which bundle.
func (p Pointer) Signed() rollout.Signed {
	s := rollout.Signed{Stable: p.Stable.Digest}
	if p.Candidate != nil && p.Rollout != nil {
		s.Candidate, s.Directive = p.Candidate.Digest, p.Rollout
	}
	return s
}
