package trust

import "time"

// VerifyAny verifies a keyless statement about anything, and returns what it was signed as.
func VerifyAny(raw, trustedRoot []byte, id Identity, now time.Time) (predicateType string, err error) {
	s, err := verifyEnvelope(raw, "", []Key{{Identity: &id, pinned: trustedRoot}}, now)
	return s.PredicateType, err
}
