package trust

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"vigo.dev/pkg/bundle"
)

// tally counts who signed, and why the others do not count.
type tally struct {
	what      string
	threshold int
	keys      []string // distinct
	refused   []*Refusal
	unseen    error // signatures that could not be looked at
}

func (t *tally) count(keyID string) {
	if !slices.Contains(t.keys, keyID) {
		t.keys = append(t.keys, keyID)
	}
}

func (t *tally) note(err error) {
	var r *Refusal
	if errors.As(err, &r) {
		t.refused = append(t.refused, r)
		return
	}
	t.unseen = errors.Join(t.unseen, err)
}

// What a person most needs to know comes first when there are several reasons.
var reasons = []string{
	bundle.Predicate, bundle.KeyExpired, bundle.BadSignature, bundle.WrongDigest, bundle.Truncated, bundle.WrongSize, bundle.Revoked, bundle.WrongKey,
}

// verdict is nil when enough distinct keys signed. When too few did and some signatures could not be looked at, that is
// the error: it may be different next time.
func (t *tally) verdict() error {
	if len(t.keys) >= t.threshold {
		return nil
	}
	if t.unseen != nil {
		return fmt.Errorf("looking at the signatures of %s: %w", t.what, t.unseen)
	}
	if len(t.keys) > 0 {
		return &Refusal{Name: bundle.Threshold, What: t.what,
			Detail: fmt.Sprintf("%d of at least %d trusted keys signed it%s", len(t.keys), t.threshold, t.others())}
	}
	if len(t.refused) == 0 {
		return &Refusal{Name: bundle.Unsigned, Detail: "it carries no signature", What: t.what}
	}
	name := t.refused[0].Name
	for _, reason := range slices.Backward(reasons) {
		if slices.ContainsFunc(t.refused, func(r *Refusal) bool { return r.Name == reason }) {
			name = reason
		}
	}
	return &Refusal{Name: name, Detail: strings.TrimPrefix(t.others(), "; "), What: t.what}
}

// others says why signatures do not count, each reason once, at most five.
func (t *tally) others() string {
	var said []string
	for _, r := range t.refused {
		detail := r.Detail
		if r.What != "" && r.What != t.what {
			detail = r.What + ": " + detail
		}
		if !slices.Contains(said, detail) {
			said = append(said, detail)
		}
	}
	if more := len(said) - 5; more > 0 {
		said = append(said[:5], fmt.Sprintf("and %d more", more))
	}
	if len(said) == 0 {
		return ""
	}
	return "; " + strings.Join(said, "; ")
}
