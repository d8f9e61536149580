package identity

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/fault"
)

// MaxHeader bounds each of the headers of a signature, in bytes.
const MaxHeader = 1 << 10

// Counters refuses requests that were seen before. Implementations are safe for concurrent use.
type Counters interface {
	// Accept takes note of a counter of a node; [ErrReplay] if it was seen, or is too old to tell.
	Accept(node string, counter int64) error
}

// Forgetful is what [Counters] are, too, that have lost what they had counted: when the service was restored from a backup.
type Forgetful interface {
	// Forgot is when it was: requests that were signed before may have been seen; zero: nothing was lost.
	Forgot() time.Time
}

// Keys finds the public key of a node. The error is returned as it is.
type Keys func(node string) (ed25519.PublicKey, error)

// Verify checks the signature of a request against the key of the node it names: first the digest of body, then the
// signature, then the clock (at most [Skew] from now), and last the counter, so that only what is genuine uses it up. What
// [Forgetful] counters may have seen is refused.
func Verify(req *http.Request, body []byte, keys Keys, counters Counters, now time.Time) (Stamp, error) {
	stamp, err := VerifyStamp(req, body, keys)
	if err != nil {
		return Stamp{}, err
	}
	return stamp, Fresh(stamp, counters, now)
}

// Fresh checks clock and counter of a stamp whose signature holds, and uses the counter up.
func Fresh(stamp Stamp, counters Counters, now time.Time) error {
	if off := now.Sub(stamp.Created); off > Skew || off < -Skew {
		return fault.WithHint(fmt.Errorf("signed at %s, received at %s: %w", stamp.Created.UTC().Format(time.RFC3339),
			now.UTC().Format(time.RFC3339), ErrSkew), "set the clock of the node")
	}
	if f, ok := counters.(Forgetful); ok && stamp.Created.Before(f.Forgot()) {
		return fault.WithHint(fmt.Errorf("signed at %s, before the service was restored from a backup at %s: %w", stamp.Created.UTC().Format(time.RFC3339),
			f.Forgot().UTC().Format(time.RFC3339), ErrReplay), "the node sends it again by itself; when it goes on, its clock is behind")
	}
	if err := counters.Accept(stamp.KeyID, stamp.Counter); err != nil {
		return fmt.Errorf("counter %d of %s: %w", stamp.Counter, stamp.KeyID, err)
	}
	return nil
}

// RelayLife is how long a hub may keep a request of a node before it delivers it.
const RelayLife = 30 * 24 * time.Hour

// FreshRelayed is [Fresh] for a request that an authenticated hub received at a time and delivers now. The clock of the
// node is compared with the time of receipt, which may be up to [RelayLife] ago. With repeats, a counter that was seen or is
// too old to tell is no replay: for requests that change nothing when they are repeated, and which a hub delivers long
// after newer ones have come by another way.
func FreshRelayed(stamp Stamp, counters Counters, received, now time.Time, repeats bool) error {
	if kept := now.Sub(received); kept > RelayLife || kept < -Skew {
		return fmt.Errorf("a hub received it at %s, delivered at %s: %w", received.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339), ErrSkew)
	}
	err := Fresh(stamp, counters, received)
	if repeats && errors.Is(err, ErrReplay) {
		return nil
	}
	return err
}

// VerifyStamp is [Verify] without clock and counter.
func VerifyStamp(req *http.Request, body []byte, keys Keys) (Stamp, error) {
	if req.URL.RawQuery != "" {
		return Stamp{}, fmt.Errorf("a query is not covered: %w", ErrSignature)
	}
	var values [3]string
	for i, name := range []string{headerDigest, headerInput, headerSignature} {
		all := req.Header[name]
		if len(all) != 1 {
			return Stamp{}, fmt.Errorf("want one %s header: %w", name, ErrSignature)
		}
		values[i] = all[0]
	}
	return Proof{Digest: values[0], Input: values[1], Signature: values[2]}.Verify(req.Method, req.URL.EscapedPath(), body, keys)
}

// A Proof is what the headers of a signed request say, of one that did not come as a request of its own.
type Proof struct {
	Digest    string // Content-Digest
	Input     string // Signature-Input
	Signature string
}

// Verify is [VerifyStamp] for a request without a query; path is as it was sent, escaped.
func (p Proof) Verify(method, path string, body []byte, keys Keys) (Stamp, error) {
	params, sig, err := p.parts()
	if err != nil {
		return Stamp{}, err
	}
	if p.Digest != contentDigest(body) {
		return Stamp{}, ErrDigest
	}
	stamp, err := parseParams(params)
	if err != nil {
		return Stamp{}, err
	}
	key, err := keys(stamp.KeyID)
	if err != nil {
		return Stamp{}, err
	}
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, signatureBase(method, path, p.Digest, params), sig) {
		return Stamp{}, fmt.Errorf("by %s: %w", stamp.KeyID, ErrSignature)
	}
	return stamp, nil
}

// parts returns the parameters and the bytes of the one signature labelled vigo.
func (p Proof) parts() (params string, sig []byte, err error) {
	for _, value := range []string{p.Digest, p.Input, p.Signature} {
		if value == "" || len(value) > MaxHeader {
			return "", nil, fmt.Errorf("want %s, %s and %s of at most %d bytes: %w", headerDigest, headerInput, headerSignature, MaxHeader, ErrSignature)
		}
	}
	params, ok := strings.CutPrefix(p.Input, signatureLabel+"=")
	if !ok {
		return "", nil, fmt.Errorf("no signature labelled %s: %w", signatureLabel, ErrSignature)
	}
	text, ok := strings.CutPrefix(p.Signature, signatureLabel+"=:")
	if text, ok = cutSuffix(text, ":", ok); !ok {
		return "", nil, fmt.Errorf("no signature labelled %s: %w", signatureLabel, ErrSignature)
	}
	sig, err = base64.StdEncoding.DecodeString(text)
	// There is one way to write it: decoding alone passes over line ends, and over bits behind the last byte.
	if err != nil || len(sig) != ed25519.SignatureSize || base64.StdEncoding.EncodeToString(sig) != text {
		return "", nil, fmt.Errorf("the signature is not %d bytes in base64: %w", ed25519.SignatureSize, ErrSignature)
	}
	return params, sig, nil
}

func cutSuffix(s, suffix string, ok bool) (string, bool) {
	rest, found := strings.CutSuffix(s, suffix)
	return rest, ok && found
}

// parseParams reads the signature parameters. It takes only the one form that [Sign] writes: what prints back the same.
func parseParams(params string) (Stamp, error) {
	bad := func(what string) (Stamp, error) {
		return Stamp{}, fmt.Errorf("signature parameters: %s: %w", what, ErrSignature)
	}
	rest, ok := strings.CutPrefix(params, components+";")
	if !ok {
		return bad("they must cover @method, @path and content-digest")
	}
	var s Stamp
	for field := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "created":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return bad("created")
			}
			s.Created = time.Unix(n, 0)
		case "nonce":
			n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 64)
			if err != nil || n <= 0 {
				return bad("nonce must be a positive counter")
			}
			s.Counter = n
		case "keyid":
			s.KeyID = strings.Trim(value, `"`)
		}
	}
	if CheckName(s.KeyID) != nil || s.params() != params {
		return bad("want created, nonce, keyid and alg, in this order")
	}
	return s, nil
}
