package audit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Checkpoint says what the log was at a time: every entry up to Seq, of which the last has this hash. The authority of the
// fleet has signed it. Whoever keeps one can tell a log that was cut or rewritten from one that only grew.
type Checkpoint struct {
	Fleet     string    `json:"fleet"`
	Seq       int64     `json:"seq"`
	Hash      string    `json:"hash"`
	Time      time.Time `json:"time"`
	Start     bool      `json:"start,omitempty"` // entries up to Seq were forgotten on purpose: the log begins after it
	Signature []byte    `json:"signature"`
}

// A Sealer signs for a purpose, with the key of the fleet's authority.
type Sealer interface {
	Seal(purpose string, data []byte) ([]byte, error)
}

// Check verifies what a [Sealer] signed.
type Check func(purpose string, data, seal []byte) error

// canonical is what is signed: netstrings of fleet, seq, hash and time in nanoseconds since 1970.
func (c Checkpoint) canonical() []byte {
	var b strings.Builder
	put(&b, c.Fleet, strconv.FormatInt(c.Seq, 10), c.Hash, strconv.FormatInt(c.Time.UnixNano(), 10))
	return []byte(b.String())
}

func (c Checkpoint) purpose() string {
	if c.Start {
		return startPurpose
	}
	return checkpointPurpose
}

// Sign returns the checkpoint with its signature.
func (c Checkpoint) Sign(s Sealer) (Checkpoint, error) {
	c.Time = c.Time.UTC().Round(0)
	var err error
	if c.Signature, err = s.Seal(c.purpose(), c.canonical()); err != nil {
		return c, fmt.Errorf("signing an audit checkpoint: %w", err)
	}
	return c, nil
}

// verify checks the signature, and that the checkpoint is of this fleet.
func (c Checkpoint) verify(fleet string, check Check) error {
	if c.Fleet != fleet {
		return fmt.Errorf("it is of fleet %q", c.Fleet)
	}
	return check(c.purpose(), c.canonical(), c.Signature)
}
