package identity

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// The headers of a signed request: RFC 9421 (HTTP Message Signatures) and RFC 9530 (Digest Fields).
const (
	headerDigest    = "Content-Digest"
	headerInput     = "Signature-Input"
	headerSignature = "Signature"
	signatureLabel  = "vigo"
	components      = `("@method" "@path" "content-digest")`
)

// Skew is how far the clock of a node may be from that of the service for a signed request.
const Skew = 5 * time.Minute

// The reasons why a signed request is refused.
var (
	ErrSignature = errors.New("request signature not valid")
	ErrDigest    = errors.New("body does not match its content digest")
	ErrSkew      = errors.New("clock differs too much")
	ErrReplay    = errors.New("request was seen before")
)

// A Stamp is what a signature says beside the request itself.
type Stamp struct {
	KeyID   string    // the node that signs
	Counter int64     // rises with every request of the node, also over restarts; carried as nonce
	Created time.Time // seconds
}

// Sign adds content digest and signature (Ed25519) over method, path and body to a request. The request must have no
// query.
func Sign(req *http.Request, body []byte, key crypto.Signer, s Stamp) error {
	if req.URL.RawQuery != "" {
		return fmt.Errorf("signing a request: a query is not covered: %w", ErrSignature)
	}
	digest := contentDigest(body)
	params := s.params()
	sig, err := key.Sign(rand.Reader, signatureBase(req.Method, req.URL.EscapedPath(), digest, params), crypto.Hash(0))
	if err != nil {
		return fmt.Errorf("signing a request: %w", err)
	}
	req.Header.Set(headerDigest, digest)
	req.Header.Set(headerInput, signatureLabel+"="+params)
	req.Header.Set(headerSignature, signatureLabel+"=:"+base64.StdEncoding.EncodeToString(sig)+":")
	return nil
}

// params is the value of @signature-params (RFC 9421 section 2.3), with the parameters in one fixed order.
func (s Stamp) params() string {
	return components + ";created=" + strconv.FormatInt(s.Created.Unix(), 10) + `;nonce="` + strconv.FormatInt(s.Counter, 10) +
		`";keyid="` + s.KeyID + `";alg="ed25519"`
}

// signatureBase is what is signed (RFC 9421 section 2.5).
func signatureBase(method, path, digest, params string) []byte {
	b := make([]byte, 0, len(method)+len(path)+len(digest)+len(params)+80)
	b = append(append(append(b, `"@method": `...), method...), '\n')
	b = append(append(append(b, `"@path": `...), path...), '\n')
	b = append(append(append(b, `"content-digest": `...), digest...), '\n')
	return append(append(b, `"@signature-params": `...), params...)
}

func contentDigest(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}
