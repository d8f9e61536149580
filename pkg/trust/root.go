package trust

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/bundle"
)

// The roles of a root document. A channel without a role of its own is signed for by [RoleAnyChannel].
const (
	RoleRoot       = "root"      // may sign the next root document
	RoleBundle     = "bundle"    // may sign bundles
	RoleAnyChannel = "channel/*" // may sign the pointers of every channel that has no role
)

// RoleChannel names the role that signs the pointers of one channel.
func RoleChannel(name string) string { return "channel/" + name }

// A Key is a public key, or an identity for keyless signatures, and the time in which signatures made with it are
// accepted. The window is compared with the time of verification, not of signing: there is nobody who could attest to the
// latter.
type Key struct {
	Public    PublicKey
	Identity  *Identity // in place of Public
	NotBefore time.Time // zero: open
	NotAfter  time.Time // zero: open

	pinned []byte // the trusted root that Identity is verified with; set by [Root.role]
}

// ID is the name of the key in the document.
func (k Key) ID() string {
	if k.Identity != nil {
		return k.Identity.ID()
	}
	return k.Public.ID()
}

// usable refuses a key outside of its window.
func (k Key) usable(now time.Time) error {
	switch {
	case !k.NotBefore.IsZero() && now.Before(k.NotBefore):
		return &Refusal{Name: bundle.KeyExpired, Detail: fmt.Sprintf("key %s may be used from %s on", k.ID(), k.NotBefore.UTC().Format(time.RFC3339))}
	case !k.NotAfter.IsZero() && now.After(k.NotAfter):
		return &Refusal{Name: bundle.KeyExpired, Detail: fmt.Sprintf("key %s was retired on %s", k.ID(), k.NotAfter.UTC().Format(time.RFC3339))}
	}
	return nil
}

// A Role is the keys that may sign something, and how many distinct ones must.
type Role struct {
	Keys      []string `json:"keys"` // IDs
	Threshold int      `json:"threshold"`
}

// A Root says which keys may sign what. Agents pin one at enrolment.
type Root struct {
	// Version counts up by one with each change. It is also the highest epoch of pointers: a stolen channel key cannot
	// use up the numbers of epochs to come.
	Version int64
	Keys    map[string]Key  // by ID
	Roles   map[string]Role // root, bundle, channel/<name>, channel/*
	// TrustedRoot is the trusted_root.json of the Sigstore instance that vouches for the identities among Keys.
	TrustedRoot []byte
}

// Grant adds keys to a role and sets its threshold.
func (r *Root) Grant(role string, threshold int, keys ...Key) {
	if r.Keys == nil {
		r.Keys, r.Roles = map[string]Key{}, map[string]Role{}
	}
	as := r.Roles[role]
	as.Threshold = threshold
	for _, k := range keys {
		id := k.ID()
		r.Keys[id] = k
		if !slices.Contains(as.Keys, id) {
			as.Keys = append(as.Keys, id)
		}
	}
	slices.Sort(as.Keys)
	r.Roles[role] = as
}

// Withdraw takes a key from a role, and from the document when no other role lists it. It says whether it was there. The
// threshold stays as it is.
func (r *Root) Withdraw(role, keyID string) bool {
	as := r.Roles[role]
	at := slices.Index(as.Keys, keyID)
	if at < 0 {
		return false
	}
	as.Keys = slices.Delete(slices.Clone(as.Keys), at, at+1)
	r.Roles[role] = as
	for _, other := range r.Roles {
		if slices.Contains(other.Keys, keyID) {
			return true
		}
	}
	delete(r.Keys, keyID)
	return true
}

// Next returns a copy with the next version, to be changed, signed and published.
func (r Root) Next() Root {
	next := Root{Version: r.Version + 1, Keys: maps.Clone(r.Keys), Roles: make(map[string]Role, len(r.Roles)), TrustedRoot: slices.Clone(r.TrustedRoot)}
	for name, role := range r.Roles {
		next.Roles[name] = Role{Keys: slices.Clone(role.Keys), Threshold: role.Threshold}
	}
	return next
}

// Epoch is the epoch of new pointers.
func (r Root) Epoch() int64 { return r.Version }

// role returns the keys and the threshold for a role.
func (r Root) role(name string) ([]Key, int, bool) {
	role, ok := r.Roles[name]
	if !ok && strings.HasPrefix(name, "channel/") {
		role, ok = r.Roles[RoleAnyChannel]
	}
	keys := make([]Key, 0, len(role.Keys))
	for _, id := range role.Keys {
		k := r.Keys[id]
		k.pinned = r.TrustedRoot
		keys = append(keys, k)
	}
	return keys, role.Threshold, ok
}

// Allows refuses a key that r does not list for a role, or not at this time.
func (r Root) Allows(role, keyID string, now time.Time) error {
	keys, _, _ := r.role(role)
	for _, k := range keys {
		if k.ID() == keyID {
			return k.usable(now)
		}
	}
	return &Refusal{Name: bundle.WrongKey, Detail: fmt.Sprintf("key %s is not listed for the role %s in root %d", keyID, role, r.Version)}
}

// Enough says whether the keys with these IDs are as many as a role asks for, whatever their windows: whether what they
// signed under an older root still counts.
func (r Root) Enough(role string, keyIDs []string) bool {
	keys, threshold, ok := r.role(role)
	n := 0
	for _, k := range keys {
		if slices.Contains(keyIDs, k.ID()) {
			n++
		}
	}
	return ok && n >= threshold
}

// The limits of a root document.
const (
	maxRoot  = 256 << 10
	maxKeys  = 256
	maxRoles = 256
)

var roleName = regexp.MustCompile(`^(root|bundle|task|channel/\*|(channel|approval|modes)/[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?)$`)

// Validate refuses a root that could not be used, or with which nothing could be verified safely.
func (r Root) Validate() error {
	bad := func(format string, args ...any) error {
		return &Refusal{Name: bundle.BadFormat, Detail: fmt.Sprintf(format, args...), What: fmt.Sprintf("root %d", r.Version)}
	}
	if r.Version < 1 || r.Version > math.MaxInt32 {
		return bad("the version is not between 1 and %d", math.MaxInt32)
	}
	if len(r.Keys) > maxKeys || len(r.Roles) > maxRoles {
		return bad("there are more than %d keys or %d roles", maxKeys, maxRoles)
	}
	for _, id := range slices.Sorted(maps.Keys(r.Keys)) {
		k := r.Keys[id]
		if (k.Public.der == nil) == (k.Identity == nil) || k.ID() != id {
			return bad("key %.60q does not have the ID it is listed under", id)
		}
		if !k.NotAfter.IsZero() && k.NotAfter.Before(k.NotBefore) {
			return bad("key %s ends before it begins", id)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Roles)) {
		role := r.Roles[name]
		if !roleName.MatchString(name) {
			return bad("role %.80q is not root, bundle, task, channel/<name>, channel/*, approval/<name> or modes/<name>", name)
		}
		if role.Threshold < 1 || role.Threshold > len(role.Keys) {
			return bad("role %s asks for %d of %d keys", name, role.Threshold, len(role.Keys))
		}
		for i, id := range role.Keys {
			if _, ok := r.Keys[id]; !ok {
				return bad("role %s names key %.60q, which is not listed", name, id)
			}
			if slices.Contains(role.Keys[:i], id) {
				return bad("role %s names key %s twice", name, id)
			}
		}
	}
	if err := r.keyless(); err != nil {
		return bad("%s", err.Error())
	}
	if err := r.apart(); err != nil {
		return bad("%s", err.Error())
	}
	for _, need := range []string{RoleRoot, RoleBundle} {
		if _, ok := r.Roles[need]; !ok {
			return bad("there is no role %q", need)
		}
	}
	return nil
}

// rootDoc is the JSON of a root.
type rootDoc struct {
	Format  int               `json:"format"` // 1
	Version int64             `json:"version"`
	Keys    map[string]keyDoc `json:"keys"`
	Roles   map[string]Role   `json:"roles"`
	// TrustedRoot is the trusted_root.json of a Sigstore instance.
	TrustedRoot json.RawMessage `json:"trustedRoot,omitempty"`
}

type keyDoc struct {
	PEM       string    `json:"pem,omitempty"`
	Identity  *Identity `json:"identity,omitempty"` // in place of PEM
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
}

// Marshal renders the root as JSON, the same bytes for the same root. It fails when [Root.Validate] does.
func (r Root) Marshal() ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	doc := rootDoc{Format: 1, Version: r.Version, Keys: map[string]keyDoc{}, Roles: r.Roles, TrustedRoot: r.TrustedRoot}
	for id, k := range r.Keys {
		one := keyDoc{Identity: k.Identity, NotBefore: k.NotBefore.UTC(), NotAfter: k.NotAfter.UTC()}
		if k.Identity == nil {
			one.PEM = string(k.Public.PEM())
		}
		doc.Keys[id] = one
	}
	data, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("rendering a root: %w", err)
	}
	return append(data, '\n'), nil
}

// ParseRoot reads a root document. What it does not know is refused: a rule that is overlooked here would be a hole.
func ParseRoot(data []byte) (Root, error) {
	var doc rootDoc
	if err := decodeStrict(data, maxRoot, &doc); err != nil {
		return Root{}, fmt.Errorf("reading a root document: %w", err)
	}
	if doc.Format != 1 {
		return Root{}, &Refusal{Name: bundle.BadFormat, Detail: fmt.Sprintf("root format %d is not known here", doc.Format)}
	}
	if len(doc.Keys) > maxKeys {
		return Root{}, &Refusal{Name: bundle.TooLarge, Detail: fmt.Sprintf("the root has more than %d keys", maxKeys)}
	}
	r := Root{Version: doc.Version, Keys: map[string]Key{}, Roles: doc.Roles}
	if len(doc.TrustedRoot) > 0 {
		if err := r.PinSigstore(doc.TrustedRoot); err != nil {
			return Root{}, fmt.Errorf("reading a root document: %w", err)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(doc.Keys)) {
		k := doc.Keys[id]
		one := Key{Identity: k.Identity, NotBefore: k.NotBefore, NotAfter: k.NotAfter}
		if k.PEM != "" || k.Identity == nil {
			public, err := ParsePublicKey([]byte(k.PEM))
			if err != nil {
				return Root{}, fmt.Errorf("reading a root document: key %.60q: %w", id, err)
			}
			one.Public = public
		}
		r.Keys[id] = one
	}
	if err := r.Validate(); err != nil {
		return Root{}, fmt.Errorf("reading a root document: %w", err)
	}
	return r, nil
}

// MarshalJSON implements json.Marshaler, for roots inside of other documents.
func (r Root) MarshalJSON() ([]byte, error) { return r.Marshal() }

// UnmarshalJSON implements json.Unmarshaler.
func (r *Root) UnmarshalJSON(data []byte) error {
	parsed, err := ParseRoot(data)
	if err == nil {
		*r = parsed
	}
	return err
}
