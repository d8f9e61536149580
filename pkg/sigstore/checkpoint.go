package sigstore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/transparency-dev/formats/log"
)

// originV1 is the first line of checkpoints of Rekor v1, which ends with the number of a tree.
var originV1 = regexp.MustCompile(`^.* - [0-9]+$`)

// openCheckpoint verifies a checkpoint of Rekor v1 and returns the root hash it is about. It is a signed note whose
// signatures are all by the log; their hint is the SHA-256 of the key alone, unlike in other notes.
func openCheckpoint(note string, key crypto.PublicKey) ([]byte, error) {
	split := strings.LastIndex(note, "\n\n")
	if split < 0 || !strings.HasSuffix(note, "\n") || len(note) == split+2 {
		return nil, errors.New("it is no signed note")
	}
	text, lines := note[:split+1], note[split+2:]
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	how := scheme{hash: crypto.SHA256}
	if _, ok := key.(ed25519.PublicKey); ok {
		how = scheme{}
	}
	hint := string(sum(crypto.SHA256, der)[:4])
	for line := range strings.Lines(lines) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[0] != "\u2014" {
			return nil, errors.New("a signature of it is no line with a name and base64")
		}
		sig, err := base64.StdEncoding.DecodeString(fields[2])
		switch {
		case err != nil || len(sig) < 5:
			return nil, errors.New("a signature of it is no line with a name and base64")
		case string(sig[:4]) != hint, !how.verify(key, []byte(text), sig[4:]):
			return nil, errors.New("a signature of it is not by the log")
		}
	}
	var c log.Checkpoint
	if _, err := c.Unmarshal([]byte(text)); err != nil {
		return nil, err
	}
	if !originV1.MatchString(c.Origin) {
		return nil, fmt.Errorf("the origin %.120q is not that of a log of Rekor v1", c.Origin)
	}
	return c.Hash, nil
}

// A noteKey verifies signed notes of Rekor v2. It implements note.Verifier of golang.org/x/mod/sumdb/note.
type noteKey struct {
	name string
	key  crypto.PublicKey
	hash uint32
	how  scheme
}

func newNoteKey(name string, key crypto.PublicKey) (*noteKey, error) {
	if name == "" || strings.ContainsAny(name, "+ \t\r\n") {
		return nil, fmt.Errorf("a log with the host name %.80q cannot sign notes", name)
	}
	how, err := ofLogs(key)
	if err != nil {
		return nil, err
	}
	id, err := noteKeyID(name, key)
	if err != nil {
		return nil, err
	}
	return &noteKey{name, key, binary.BigEndian.Uint32(id), how}, nil
}

// noteKeyID is the hash of a key, by which signatures name it (c2sp.org/signed-note, and for ECDSA the custom of Rekor).
func noteKeyID(name string, key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	named := name + "\n"
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return sum(crypto.SHA256, der), nil
	case ed25519.PublicKey:
		return sum(crypto.SHA256, append([]byte(named+"\x01"), k...)), nil
	case *rsa.PublicKey:
		return sum(crypto.SHA256, append([]byte(named+"\xffPKIX-RSA-PKCS#1v1.5"), der...)), nil
	}
	return nil, fmt.Errorf("keys of type %T do not sign notes", key)
}

// Name implements note.Verifier.
func (k *noteKey) Name() string { return k.name }

// KeyHash implements note.Verifier.
func (k *noteKey) KeyHash() uint32 { return k.hash }

// Verify implements note.Verifier.
func (k *noteKey) Verify(msg, sig []byte) bool { return k.how.verify(k.key, msg, sig) }
