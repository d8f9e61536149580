package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
)

const digestPrefix = "sha256:"

// DigestOf returns the digest of content, sha256:<64 hex>.
func DigestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return digestPrefix + hex.EncodeToString(sum[:])
}

// DescriptorOf describes content.
func DescriptorOf(mediaType string, data []byte) Descriptor {
	return Descriptor{MediaType: mediaType, Digest: DigestOf(data), Size: int64(len(data))}
}

// ParseDigest returns the 32 bytes of a digest. Only SHA-256 in lower-case hex is known.
func ParseDigest(s string) ([]byte, error) {
	digits, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || len(digits) != 2*sha256.Size || strings.ToLower(digits) != digits {
		return nil, &Refusal{Name: BadFormat, Detail: "not a digest of the form sha256:<64 hex digits>", What: quoted(s)}
	}
	sum, err := hex.DecodeString(digits)
	if err != nil {
		return nil, &Refusal{Name: BadFormat, Detail: "not a digest of the form sha256:<64 hex digits>", What: quoted(s)}
	}
	return sum, nil
}

// quoted renders a foreign name, cut when it is long.
func quoted(s string) string {
	if len(s) > 120 {
		s = s[:120] + "…"
	}
	return fmt.Sprintf("%q", s)
}

// Verified returns a reader of the content of d from r. At the end of the content it fails with a [Refusal] which is
// [ErrDigest] if size or digest are others than d says; it never gives out more than d.Size bytes. Closing it closes r.
func Verified(r io.ReadCloser, d Descriptor) io.ReadCloser {
	return &verified{r: r, d: d, left: d.Size, sum: sha256.New()}
}

type verified struct {
	r    io.ReadCloser
	d    Descriptor
	left int64
	sum  hash.Hash
	err  error // how it ended
}

// Read implements io.Reader.
func (v *verified) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if v.left <= 0 {
		v.err = v.end()
		return 0, v.err
	}
	if int64(len(p)) > v.left {
		p = p[:v.left]
	}
	n, err := v.r.Read(p)
	v.left -= int64(n)
	v.sum.Write(p[:n])
	switch {
	case errors.Is(err, io.EOF) && v.left > 0:
		v.err = &Refusal{Name: Truncated, Detail: fmt.Sprintf("%d of %d bytes are missing", v.left, v.d.Size), What: v.d.Digest}
	case errors.Is(err, io.EOF):
		v.err = v.check()
	case err != nil:
		v.err = err
	}
	if n > 0 && errors.Is(v.err, io.EOF) {
		return n, nil // EOF comes with the next call
	}
	return n, v.err
}

// end looks for bytes beyond the announced size.
func (v *verified) end() error {
	var one [1]byte
	for range 100 {
		switch n, err := v.r.Read(one[:]); {
		case n > 0:
			return &Refusal{Name: WrongSize, Detail: fmt.Sprintf("there is more than the announced %d bytes", v.d.Size), What: v.d.Digest}
		case errors.Is(err, io.EOF):
			return v.check()
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

func (v *verified) check() error {
	if got := digestPrefix + hex.EncodeToString(v.sum.Sum(nil)); got != v.d.Digest {
		return &Refusal{Name: WrongDigest, Detail: "what was sent has digest " + got, What: v.d.Digest}
	}
	return io.EOF
}

// Close implements io.Closer.
func (v *verified) Close() error { return v.r.Close() }
