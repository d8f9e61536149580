package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/bundle"
)

// ModesPredicate is the predicate type of an order: what people set the modes of a channel to, over what policy says.
const ModesPredicate = "https://vigo.dev/modes/v1"

// ModesType is the artifact type of the manifest that carries the newest order for a channel, with its signatures.
const ModesType = "application/vnd.vigo.modes.v1"

// ModesTag names the newest order for a channel. It moves: a new order takes the place of the one before.
func ModesTag(channel string) string { return "modes-" + channel }

// RoleModes names the role of the people who may order modes of a channel. Without it only policy sets them.
func RoleModes(channel string) string { return "modes/" + channel }

// OrdersModes says whether people may order modes of a channel.
func (r Root) OrdersModes(channel string) bool {
	_, ok := r.Roles[RoleModes(channel)]
	return ok
}

// An Order sets modes of a channel until the next one. Everybody who agrees signs the same bytes. The last that enough people
// have signed stands: one with no modes gives all of them back to policy.
type Order struct {
	Fleet   string          `json:"fleet"`
	Channel string          `json:"channel"`
	Modes   map[string]bool `json:"modes"` // over what policy says
	From    Base            `json:"from"`  // where the channel was when it was given
	Given   time.Time       `json:"given"`
	Note    string          `json:"note,omitempty"` // why
}

// The most an order may hold.
const (
	maxOrder      = 16 << 10 // bytes
	maxModeName   = 64       // characters
	maxOrderSigns = 16       // signatures
	maxOrderBytes = 64 << 10 // of all signatures together, in a pointer
)

// Payload renders what is signed: an in-toto statement about the bundle that was stable, with the order as predicate. Equal
// orders give equal bytes.
func (o Order) Payload() ([]byte, error) {
	o.Given = o.Given.UTC().Truncate(time.Second)
	if o.Modes == nil {
		o.Modes = map[string]bool{}
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	predicate, err := compactJSON(o)
	if err != nil {
		return nil, err
	}
	return statementAbout(o.From.Digest, ModesPredicate, predicate)
}

func (o Order) check() error {
	bad := func(format string, args ...any) error {
		return &Refusal{Name: bundle.BadFormat, Detail: fmt.Sprintf(format, args...), What: "the order of modes"}
	}
	if _, err := bundle.ParseDigest(o.From.Digest); err != nil {
		return err
	}
	switch {
	case o.Fleet == "" || o.Channel == "":
		return bad("it names no fleet or no channel")
	case o.From.Epoch < 0 || o.From.Seq < 1:
		return bad("it names a pointer that cannot be")
	case o.Given.IsZero() || !written(o.Given):
		return bad("it does not say when it was given")
	case len(o.Note) > maxNote:
		return bad("its note has more than %d bytes", maxNote)
	case len(o.Modes) > maxModes:
		return bad("it sets more than %d modes", maxModes)
	}
	for name := range o.Modes {
		if name == "" || len(name) > maxModeName {
			return bad("%.80q is not a name for a mode", name)
		}
	}
	return nil
}

// parseOrder reads a payload. Only the one rendering of an order is accepted: what people were shown is what they signed.
func parseOrder(payload []byte) (Order, error) {
	var s statement
	if err := decode(payload, &s); err != nil {
		return Order{}, err
	}
	if s.PredicateType != ModesPredicate {
		return Order{}, &Refusal{Name: bundle.Predicate, Detail: fmt.Sprintf("it was signed as %.120q, not as an order of modes", s.PredicateType)}
	}
	var o Order
	if err := decodeStrict(s.Predicate, maxOrder, &o); err != nil {
		return Order{}, err
	}
	want, err := o.Payload()
	if err != nil {
		return Order{}, err
	}
	if !bytes.Equal(want, payload) {
		return Order{}, &Refusal{Name: bundle.BadFormat, Detail: "the statement is not the one that such an order makes"}
	}
	return o, nil
}

// isFor refuses an order for somebody else.
func (o Order) isFor(fleet, channel string) error {
	switch {
	case o.Channel != channel:
		return &Refusal{Name: bundle.WrongChannel, Detail: fmt.Sprintf("the order is for channel %.80q, not for %q", o.Channel, channel)}
	case fleet != "" && o.Fleet != fleet:
		return &Refusal{Name: bundle.WrongFleet, Detail: fmt.Sprintf("the order is for fleet %.80q, not for %q", o.Fleet, fleet)}
	}
	return nil
}

// Ordered is an order with those who signed it. The zero value is none.
type Ordered struct {
	Order
	Payload    string   // digest of what was signed
	Keys       []string // IDs of the distinct keys, sorted
	Signatures [][]byte // Sigstore bundles, one a key
}

// After says whether o was given after last: over a later pointer or, over the same, at a later time.
func (o Ordered) After(last Ordered) bool {
	switch {
	case last.Payload == "":
		return o.Payload != ""
	case last.From.before(o.From):
		return true
	case o.From.before(last.From):
		return false
	case !o.Given.Equal(last.Given):
		return o.Given.After(last.Given)
	}
	return strings.Compare(o.Payload, last.Payload) > 0
}

// Order signs an order of modes. The result is a Sigstore bundle for [PublishOrder].
func (s *Signer) Order(ctx context.Context, o Order) ([]byte, error) {
	payload, err := o.Payload()
	if err != nil {
		return nil, fmt.Errorf("ordering modes: %w", err)
	}
	return s.sign(ctx, payload)
}

// Ordered returns the newest order for a channel among signatures that as many have signed as the role modes/<channel> asks
// for, with as many signatures. Signatures of different orders do not add up.
func (v *Verifier) Ordered(fleet, channel string, signatures [][]byte) (Ordered, error) {
	role, what := RoleModes(channel), "the order of modes for channel "+channel
	threshold := math.MaxInt
	if as, ok := v.root.Roles[role]; ok {
		threshold = as.Threshold
	} else {
		return Ordered{}, &Refusal{Name: bundle.WrongKey, Detail: fmt.Sprintf("root %d lets nobody order modes of channel %q", v.root.Version, channel), What: what}
	}
	t := tally{what: what, threshold: threshold}
	var best Ordered
	for _, o := range v.orders(fleet, channel, signatures, &t) {
		if len(o.Keys) >= threshold && o.After(best) {
			best = o
		}
		if len(o.Keys) > len(t.keys) {
			t.keys = o.Keys
		}
	}
	if best.Payload == "" {
		return Ordered{}, t.verdict()
	}
	best.Signatures = best.Signatures[:threshold]
	if err := checkOrder(best.Signatures); err != nil { // no pointer could carry it
		return Ordered{}, &Refusal{Name: bundle.TooLarge, Detail: err.Error(), What: what}
	}
	return best, nil
}

// OrderSigners returns each order for a channel among signatures, with who has signed it, enough or not.
func (v *Verifier) OrderSigners(fleet, channel string, signatures [][]byte) []Ordered {
	return v.orders(fleet, channel, signatures, &tally{})
}

// orders verifies signatures and groups them by what they are of.
func (v *Verifier) orders(fleet, channel string, signatures [][]byte, t *tally) []Ordered {
	keys, _, _ := v.root.role(RoleModes(channel))
	var found []Ordered
	now := v.now()
	for _, raw := range signatures[:min(len(signatures), maxSignatures)] {
		s, err := verifyEnvelope(raw, "", keys, now)
		var o Order
		if err == nil {
			o, err = parseOrder(s.Payload)
		}
		if err == nil {
			err = o.isFor(fleet, channel)
		}
		if err != nil {
			t.note(err)
			continue
		}
		payload, id := bundle.DigestOf(s.Payload), s.Key.ID()
		at := slices.IndexFunc(found, func(f Ordered) bool { return f.Payload == payload })
		if at < 0 {
			at, found = len(found), append(found, Ordered{Order: o, Payload: payload})
		}
		if one := &found[at]; !slices.Contains(one.Keys, id) {
			one.Keys, one.Signatures = append(one.Keys, id), append(one.Signatures, raw)
		}
	}
	for _, o := range found {
		slices.Sort(o.Keys)
	}
	return found
}

// ClaimedOrder is the order that Sigstore bundles claim to sign, not verified: for what was verified before. The zero value if
// they claim none.
func ClaimedOrder(signatures [][]byte) Ordered {
	if len(signatures) == 0 {
		return Ordered{}
	}
	payload, err := payloadOf(signatures[0])
	if err != nil {
		return Ordered{}
	}
	o, err := parseOrder(payload)
	if err != nil {
		return Ordered{}
	}
	return Ordered{Order: o, Payload: bundle.DigestOf(payload), Signatures: signatures}
}

// checkOrder refuses signatures of an order that are too many or too large for a pointer. Whether they count is looked at
// apart: an order that does not is no reason to refuse what else the pointer says.
func checkOrder(signatures [][]byte) error {
	size := 0
	for _, raw := range signatures {
		size += len(raw)
	}
	if len(signatures) > maxOrderSigns || size > maxOrderBytes {
		return errors.New("the order of modes has too many signatures, or too large ones")
	}
	return nil
}
