package sigstore

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sigstore/timestamp-authority/v2/pkg/verification"
)

// stamped returns when trusted timestamp authorities say that they saw the signature, one time an authority, and why others
// do not count.
func (t *TrustedRoot) stamped(signature []byte, timestamps [][]byte) (times []time.Time, ignored error) {
	var counted []string
	for _, raw := range timestamps {
		at, by, err := t.stamp(signature, raw)
		switch {
		case err != nil:
			ignored = errors.Join(ignored, fmt.Errorf("a timestamp: %w", err))
		case !slices.Contains(counted, by):
			counted, times = append(counted, by), append(times, at)
		}
	}
	return times, ignored
}

// stamp verifies one timestamp (RFC 3161) and returns who made it.
func (t *TrustedRoot) stamp(signature, raw []byte) (at time.Time, by string, err error) {
	err = errors.New("no timestamp authority is trusted")
	for _, a := range t.stampers {
		options, ok := a.stamping()
		if !ok {
			err = errors.New("the authority has no root")
			continue
		}
		stamp, failed := verification.VerifyTimestampResponse(raw, bytes.NewReader(signature), options)
		switch {
		case failed != nil:
			err = failed
		case !a.period.holds(stamp.Time):
			err = errors.New("the authority was not trusted at that time")
		default:
			return stamp.Time, a.uri, nil
		}
	}
	return time.Time{}, "", err
}

// stamping sorts the chain of a timestamp authority: its own certificate, if it is named, then others, then the root.
func (a authority) stamping() (o verification.VerifyOpts, ok bool) {
	chain := a.chain
	if !chain[0].IsCA {
		o.TSACertificate, chain = chain[0], chain[1:]
	}
	if len(chain) == 0 {
		return o, false
	}
	o.Intermediates = chain[:len(chain)-1]
	o.Roots = []*x509.Certificate{chain[len(chain)-1]}
	return o, true
}
