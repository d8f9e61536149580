package bundle

import "strings"

// The names of refusals, as they appear in reports, in `vigo status` and in logs. They do not change.
const (
	Unsigned     = "unsigned"       // nobody signed it
	WrongKey     = "wrong-key"      // signed, but by no key that is trusted for it
	BadSignature = "bad-signature"  // claims a trusted key and does not verify with it
	KeyExpired   = "key-expired"    // signed by a key outside of its window
	Threshold    = "threshold"      // signed by fewer distinct trusted keys than asked for
	Predicate    = "predicate"      // signed as something else
	Rollback     = "rollback"       // older than what was accepted before
	Equivocation = "equivocation"   // two contents under one number
	Expired      = "expired"        // a pointer past its time
	WrongChannel = "channel"        // meant for another channel
	WrongFleet   = "fleet"          // meant for another fleet
	WrongEpoch   = "epoch"          // of an epoch that the trusted root does not know yet
	WrongDigest  = "digest"         // not the bytes that were asked for
	WrongSize    = "size"           // more bytes than were announced
	Truncated    = "truncated"      // fewer bytes than were announced
	BadPath      = "path"           // a file name that leaves its folder, or may mislead
	Link         = "link"           // a link where only files may be
	Device       = "device"         // a device, a directory or anything else that is no regular file
	Duplicate    = "duplicate"      // the same file twice
	TooMany      = "too-many-files" // more files than the limit
	TooLarge     = "too-large"      // more bytes than the limit
	Trailing     = "trailing"       // bytes after the end
	Revoked      = "revoked"        // named as not to be run
	OldAgent     = "old-agent"      // asks for a newer agent than this
	Approvals    = "approvals"      // fewer people than asked for have approved it for this channel
	Conflicting  = "conflict"       // what is signed about it and what it says of itself differ
	BadFormat    = "format"         // not a document of this kind, or of a version not known here
)

// A Refusal says that something was looked at and is not acceptable, as opposed to errors which say that it could not
// be looked at. Find it with errors.As.
type Refusal struct {
	Name   string // one of the names above
	Detail string // a sentence for a person
	What   string // what was refused: a digest, a tag, a path
}

// Error implements error.
func (r *Refusal) Error() string {
	var b strings.Builder
	if r.What != "" {
		b.WriteString(r.What + ": ")
	}
	b.WriteString("refused (" + r.Name + "): " + r.Detail)
	return b.String()
}

// Is makes errors.Is find [ErrDigest] and [ErrLimit] in the refusals they stand for.
func (r *Refusal) Is(target error) bool {
	switch target {
	case ErrDigest:
		return r.Name == WrongDigest || r.Name == WrongSize || r.Name == Truncated
	case ErrLimit:
		return r.Name == TooMany || r.Name == TooLarge
	}
	return false
}

// Hint says what to do about it.
func (r *Refusal) Hint() string {
	switch r.Name {
	case Unsigned:
		return "sign it with `vigo build --key` or `cosign sign`; a mirror must copy signatures (referrers) too"
	case WrongKey:
		return "is the public key of whoever signed it in the trusted root?"
	case Approvals:
		return "vigo approve CHANNEL shows who has approved what is asked for; a mirror must copy approvals (referrers) too"
	case Predicate:
		return "an attestation is not a signature: sign it as a bundle"
	case Equivocation:
		return "two controllers share a key, or the key is stolen: look at the channel's tags in the registry"
	case WrongDigest, Truncated, WrongSize:
		return "the copy in the registry or on the way was changed or cut: push it again, and find out who did that"
	case OldAgent:
		return "update vigo-agent on this node"
	case WrongEpoch:
		return "the node needs the newer root document"
	}
	return ""
}
