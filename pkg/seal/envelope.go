package seal

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

// MaxEnvelope bounds what is sealed to one node, in bytes.
const MaxEnvelope = 4 << 20

// An Envelope is what one node gets: all secrets that its roles use, bound to the node they are for.
type Envelope struct {
	Format  int              `json:"format"` // 1
	Fleet   string           `json:"fleet"`
	Channel string           `json:"channel"`
	Node    string           `json:"node"`
	Key     string           `json:"key"` // ID of the key of the node
	Secrets map[string]Value `json:"secrets"`
}

// A Value is one secret.
type Value struct {
	Value []byte `json:"value"`
	// Version is the digest of the file in git that it was read from, which the bundle names too; empty: it is from elsewhere.
	Version string `json:"version,omitempty"`
}

// Marshal renders an envelope, the same bytes for the same secrets.
func (e Envelope) Marshal() ([]byte, error) {
	e.Format = 1
	data, err := json.Marshal(e)
	if err == nil && len(data) > MaxEnvelope {
		err = fmt.Errorf("sealing to node %s: its secrets have %d bytes, at most %d are allowed", e.Node, len(data), MaxEnvelope)
	}
	return data, err
}

// Seal closes a rendered envelope to the key of a node.
func Seal(public ed25519.PublicKey, envelope []byte) ([]byte, error) {
	to, err := RecipientOf(public)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	if _, err := w.Write(envelope); err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return out.Bytes(), nil
}

// ErrNotOurs says that something is sealed to another node or for another purpose.
var ErrNotOurs = errors.New("not sealed to this node")

// Open opens what was sealed to a node, and refuses what is for another node, fleet or channel, however it came here.
func Open(private ed25519.PrivateKey, fleet, channel, node string, sealed []byte) (Envelope, error) {
	const doing = "opening the secrets of this node"
	as, err := IdentityOf(private)
	if err != nil {
		return Envelope{}, err
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), as)
	if err != nil {
		var no *age.NoIdentityMatchError
		if errors.As(err, &no) {
			err = ErrNotOurs
		}
		return Envelope{}, fmt.Errorf("%s: %w", doing, err)
	}
	data, err := io.ReadAll(io.LimitReader(r, MaxEnvelope+1))
	if err != nil {
		return Envelope{}, fmt.Errorf("%s: %w", doing, err)
	}
	var e Envelope
	if len(data) > MaxEnvelope || json.Unmarshal(data, &e) != nil { // what is in it is in no error
		return Envelope{}, fmt.Errorf("%s: it is no envelope", doing)
	}
	if e.Format != 1 {
		return Envelope{}, fmt.Errorf("%s: format %d is not known to this version", doing, e.Format)
	}
	if e.Fleet != fleet || e.Channel != channel || e.Node != node || e.Key != ID(private.Public().(ed25519.PublicKey)) {
		return Envelope{}, fmt.Errorf("%s: it is for node %.80q of channel %.80q in fleet %.80q: %w", doing, e.Node, e.Channel, e.Fleet, ErrNotOurs)
	}
	return e, nil
}
