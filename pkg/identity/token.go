package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"vigo.dev/pkg/fault"
)

// The reasons why a token is refused.
var (
	ErrToken      = fault.WithHint(errors.New("token not valid"), "copy the whole token; `vigo token create` makes a new one")
	ErrExpired    = fault.WithHint(errors.New("token expired"), "`vigo token create` makes a new one")
	ErrUsed       = fault.WithHint(errors.New("token used up"), "`vigo token create --uses N` makes one for several nodes")
	ErrNotAllowed = fault.WithHint(errors.New("token does not allow this node name"), "`vigo token create --names GLOB` says which names may enrol")
)

// The prefixes of the two sorts of bearer secrets. They make a leaked one easy to find by a scanner.
const (
	enrolPrefix    = "vigo_"
	operatorPrefix = "vigoop_"
)

// A Secret is the clear text of a token: shown once, when it is made. Text is
// <prefix><id>.<secret>.<fingerprint of the authority>, one word without characters a shell would mind.
type Secret struct {
	ID          string
	Fingerprint string // of the authority, lower-case hexadecimal SHA-256
	Operator    bool   // for people and programs, not for enrolment
	secret      string
}

// NewSecret draws a secret of 160 bits for the authority with the given fingerprint.
func NewSecret(fingerprint string, operator bool) (Secret, error) {
	var raw [26]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return Secret{}, fmt.Errorf("drawing a token: %w", err)
	}
	enc := base32.StdEncoding.WithPadding(base32.NoPadding)
	id, secret := strings.ToLower(enc.EncodeToString(raw[:6])), strings.ToLower(enc.EncodeToString(raw[6:]))
	return Secret{ID: id, Fingerprint: fingerprint, Operator: operator, secret: secret}, nil
}

// ParseSecret reads a token as a person pasted it; space around it is ignored.
func ParseSecret(text string) (Secret, error) {
	text = strings.TrimSpace(text)
	rest, operator := strings.CutPrefix(text, operatorPrefix)
	if !operator {
		var ok bool
		if rest, ok = strings.CutPrefix(text, enrolPrefix); !ok {
			return Secret{}, fmt.Errorf("it does not begin with %q: %w", enrolPrefix, ErrToken)
		}
	}
	parts := strings.Split(rest, ".")
	if len(parts) != 3 || len(parts[0]) != 10 || len(parts[1]) != 32 || len(parts[2]) != 2*sha256.Size {
		return Secret{}, fmt.Errorf("it is cut or altered: %w", ErrToken)
	}
	if _, err := hex.DecodeString(parts[2]); err != nil || strings.ToLower(rest) != rest {
		return Secret{}, fmt.Errorf("it is cut or altered: %w", ErrToken)
	}
	return Secret{ID: parts[0], secret: parts[1], Fingerprint: parts[2], Operator: operator}, nil
}

// Text is the whole token.
func (s Secret) Text() string {
	prefix := enrolPrefix
	if s.Operator {
		prefix = operatorPrefix
	}
	return prefix + s.ID + "." + s.secret + "." + s.Fingerprint
}

// String hides the secret, so that a log never holds it.
func (s Secret) String() string { return s.ID + ".…" }

// Hash is what a service keeps instead of the secret. One SHA-256 is enough: the secret has 160 random bits.
func (s Secret) Hash() []byte {
	sum := sha256.Sum256([]byte(s.ID + "." + s.secret))
	return sum[:]
}

// Matches compares with a kept hash in constant time.
func (s Secret) Matches(hash []byte) bool {
	return subtle.ConstantTimeCompare(s.Hash(), hash) == 1
}

// A Grant is what an enrolment token allows. It holds no secret.
type Grant struct {
	ID      string            `json:"id"`
	Names   string            `json:"names,omitempty"` // glob of path.Match; empty: any name
	Labels  map[string]string `json:"labels,omitempty"`
	Channel string            `json:"channel"`
	Hub     bool              `json:"hub,omitempty"` // for hubs, and for nothing else
	Uses    int               `json:"uses"`          // how many nodes may enrol; 0: no limit
	Used    int               `json:"used"`
	Created time.Time         `json:"created"`
	Expires time.Time         `json:"expires,omitzero"` // zero: never
	Revoked bool              `json:"revoked,omitempty"`
	Note    string            `json:"note,omitempty"`
	// RetireAfter is how long a node that enrolled with it may not be heard of before it is retired; 0: that says nothing of it.
	RetireAfter time.Duration `json:"retireAfter,omitempty"`
}

// Allow returns why the grant does not let a node of this name enrol at now; nil if it does.
func (g Grant) Allow(node string, now time.Time) error {
	switch {
	case g.Revoked:
		return fmt.Errorf("token %s is revoked: %w", g.ID, ErrToken)
	case !g.Expires.IsZero() && !now.Before(g.Expires):
		return fmt.Errorf("token %s: %w", g.ID, ErrExpired)
	case g.Uses > 0 && g.Used >= g.Uses:
		return fmt.Errorf("token %s: %w", g.ID, ErrUsed)
	}
	if g.Names == "" {
		return nil
	}
	ok, err := path.Match(g.Names, node)
	if err != nil {
		return fmt.Errorf("reading the names %q of token %s: %w", g.Names, g.ID, err)
	}
	if !ok {
		return fmt.Errorf("token %s is for %q, not for %q: %w", g.ID, g.Names, node, ErrNotAllowed)
	}
	return nil
}
