// Package seal closes secrets so that one node alone can open them, and packs what was closed for all nodes of a channel
// into one artifact.
//
// A node is known by its Ed25519 key. The age recipient of a node is the X25519 form of that key (RFC 7748 section 4.1: the
// two curves are the same in other coordinates), as age itself does for ssh-ed25519 keys, so whoever knows the key of a node
// can seal to it, and nothing more has to be exchanged.
//
// It refuses to decide who may have which secret (package catalog does), to read secrets from anywhere, and to sign: what
// binds an artifact to a fleet, a channel and a time is the signed pointer that names it.
package seal

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
	"filippo.io/edwards25519"
)

// RecipientOf returns the age recipient of a node.
func RecipientOf(public ed25519.PublicKey) (*age.X25519Recipient, error) {
	point, err := new(edwards25519.Point).SetBytes(public)
	if err != nil {
		return nil, fmt.Errorf("making an age recipient of a node key: %w", err)
	}
	if point.Equal(edwards25519.NewIdentityPoint()) == 1 || new(edwards25519.Point).MultByCofactor(point).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return nil, errors.New("making an age recipient of a node key: it is a point of low order")
	}
	return age.ParseX25519Recipient(bech32("age", point.BytesMontgomery()))
}

// IdentityOf returns the age identity of a node.
func IdentityOf(private ed25519.PrivateKey) (*age.X25519Identity, error) {
	if len(private) != ed25519.PrivateKeySize {
		return nil, errors.New("making an age identity of a node key: the key has the wrong size")
	}
	sum := sha512.Sum512(private.Seed()) // RFC 8032 section 5.1.5; X25519 clamps the scalar the same way
	return age.ParseX25519Identity(strings.ToUpper(bech32("age-secret-key-", sum[:32])))
}

// ID is the name of a node in an artifact. It says nothing of the node to those who do not know its key.
func ID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(append([]byte("vigo.dev/seal/id/v1\x00"), public...))
	return hex.EncodeToString(sum[:16])
}

// Salt is a key that a node alone has, for digests over what holds secrets: without it they could be guessed from those.
func Salt(private ed25519.PrivateKey) ([]byte, error) {
	if len(private) != ed25519.PrivateKeySize {
		return nil, errors.New("making a salt of a node key: the key has the wrong size")
	}
	return hkdf.Key(sha256.New, private.Seed(), nil, "vigo.dev/seal/salt/v1", 32)
}

const bech32Alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// bech32 encodes bytes as BIP 173 says, which is how age writes keys.
func bech32(prefix string, data []byte) string {
	var five []byte
	acc, bits := uint(0), 0
	for _, b := range data {
		acc, bits = acc<<8|uint(b), bits+8
		for bits >= 5 {
			bits -= 5
			five = append(five, byte(acc>>bits&31))
		}
	}
	if bits > 0 {
		five = append(five, byte(acc<<(5-bits)&31))
	}
	var expanded []byte
	for _, c := range []byte(prefix) {
		expanded = append(expanded, c>>5)
	}
	expanded = append(expanded, 0)
	for _, c := range []byte(prefix) {
		expanded = append(expanded, c&31)
	}
	check := polymod(append(append(expanded, five...), make([]byte, 6)...)) ^ 1
	for i := range 6 {
		five = append(five, byte(check>>(5*(5-i))&31))
	}
	var out strings.Builder
	out.WriteString(prefix + "1")
	for _, v := range five {
		out.WriteByte(bech32Alphabet[v])
	}
	return out.String()
}

func polymod(values []byte) uint32 {
	sum := uint32(1)
	for _, v := range values {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(v)
		for i, g := range [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	return sum
}
