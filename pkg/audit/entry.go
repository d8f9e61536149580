// Package audit is the record of who did what to a fleet's identities and settings: entries in a hash chain, so that one
// that is altered or taken out shows, and signed checkpoints of its head, so that a cut at the end shows too.
//
// It refuses to keep anything (package sqlstore does), to hold a key (who calls it signs), and to know secrets: an entry
// names tokens and keys by their IDs.
package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The acts that are recorded. What a person did has a person for actor; what a program did on its own has [Service].
const (
	TokenCreated      = "token.created"
	TokenRevoked      = "token.revoked"
	OperatorAdded     = "operator.added"
	OperatorChanged   = "operator.changed" // another role, or a new token in place of all others
	OperatorRemoved   = "operator.removed"
	AccessCreated     = "access.created" // a further token of an operator
	AccessRenewed     = "access.renewed" // a certificate of an operator
	AccessRevoked     = "access.revoked"
	LoggedIn          = "access.login" // through an identity provider
	NodeEnrolled      = "node.enrolled"
	NodeRenewed       = "node.renewed" // its certificate
	NodeRetired       = "node.retired"
	NodeReleased      = "node.released" // from quarantine
	ChannelPublished  = "channel.published"
	ChannelRewritten  = "channel.rewritten" // the history of its branch was replaced, which the operator of the controller allowed
	TrustRoot         = "trust.root"        // the document that new nodes pin
	Refused           = "access.refused"
	Pushed            = "registry.pushed" // a request for promotion or a signature, by a person
	AlertMuted        = "alert.muted"
	AlertUnmuted      = "alert.unmuted"
	MaintenanceBegun  = "maintenance.begun"
	MaintenanceEnded  = "maintenance.ended" // before its time
	RolloutCommanded  = "rollout.commanded"
	RebootReleased    = "reboot.released"
	Pruned            = "audit.pruned"
	Broken            = "audit.broken"   // found at a start: the log was altered while the service was down
	Restored          = "store.restored" // from a backup: what came after that is not in the log
	maxField          = 256              // bytes of a field or of a value in the details
	maxDetails        = 32
	domain            = "vigo audit entry 1"
	genesis           = "0000000000000000000000000000000000000000000000000000000000000000"
	checkpointPurpose = "audit checkpoint"
	startPurpose      = "audit start"
)

// An Entry is one act. Seq counts from 1 without a gap; Prev is the hash of the entry before, zeros for the first.
type Entry struct {
	Seq     int64             `json:"seq"`
	Time    time.Time         `json:"time"` // UTC, nanoseconds
	Actor   string            `json:"actor"`
	Role    string            `json:"role"`
	Act     string            `json:"act"`
	Object  string            `json:"object,omitempty"`
	Detail  map[string]string `json:"detail,omitempty"`
	Address string            `json:"address,omitempty"` // the request came from, without the port
	Prev    string            `json:"prev"`
	Hash    string            `json:"hash"`
}

// Chain returns the entry as it follows the one with the given number and hash (0 and "" for none). Fields are cut to 256
// bytes and to valid UTF-8, so that what is read back from JSON hashes the same.
func (e Entry) Chain(seq int64, prev string) Entry {
	if prev == "" {
		prev = genesis
	}
	e.Seq, e.Prev, e.Time = seq+1, prev, e.Time.UTC().Round(0)
	for _, field := range []*string{&e.Actor, &e.Role, &e.Act, &e.Object, &e.Address} {
		*field = clean(*field)
	}
	detail := make(map[string]string, len(e.Detail))
	for _, key := range slices.Sorted(maps.Keys(e.Detail)) {
		if value := clean(e.Detail[key]); value != "" && len(detail) < maxDetails {
			detail[clean(key)] = value
		}
	}
	e.Detail = nil
	if len(detail) > 0 {
		e.Detail = detail
	}
	e.Hash = e.Sum()
	return e
}

func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxField {
		s = strings.ToValidUTF8(s[:maxField-3], "") + "…"
	}
	return s
}

// Sum is the hash an entry must have: the hexadecimal SHA-256 of its canonical form, in which every field is a netstring
// (LENGTH:BYTES,): "vigo audit entry 1", seq, time as nanoseconds since 1970, actor, role, act, object, address, the number
// of details, each key and value in the order of the keys, prev. Numbers are decimal.
func (e Entry) Sum() string {
	var b strings.Builder
	put(&b, domain, strconv.FormatInt(e.Seq, 10), strconv.FormatInt(e.Time.UnixNano(), 10), e.Actor, e.Role, e.Act, e.Object, e.Address,
		strconv.Itoa(len(e.Detail)))
	for _, key := range slices.Sorted(maps.Keys(e.Detail)) {
		put(&b, key, e.Detail[key])
	}
	put(&b, e.Prev)
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:])
}

// put writes netstrings.
func put(b *strings.Builder, fields ...string) {
	for _, f := range fields {
		b.WriteString(strconv.Itoa(len(f)) + ":" + f + ",")
	}
}
