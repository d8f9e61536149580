package resources

import (
	"bytes"
	"crypto/sha1" // a fingerprint of version 4 is SHA-1, RFC 9580 section 5.5.4.2
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

const (
	armorEnd        = "-----END PGP PUBLIC KEY BLOCK-----"
	packetSecret    = 5
	packetSecretSub = 7
	packetPublic    = 6
)

// dearmor returns the packets of keys in armor, RFC 9580 section 6.2; others as they are. The checksum of the armor is
// passed over, as the RFC says.
func dearmor(data []byte) ([]byte, error) {
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	if !strings.Contains(text, armor) {
		return data, nil
	}
	var all []byte
	for {
		_, rest, found := strings.Cut(text, armor)
		if !found {
			return all, nil
		}
		block, after, ended := strings.Cut(rest, armorEnd)
		_, body, blank := strings.Cut(block, "\n\n") // headers end at the first empty line
		if !ended || !blank {
			return nil, errors.New("the armor of the key is incomplete")
		}
		if sum := strings.LastIndex(body, "\n="); sum >= 0 {
			body = body[:sum]
		}
		packets, err := base64.StdEncoding.DecodeString(body)
		if err != nil {
			return nil, fmt.Errorf("reading the armor of the key: %w", err)
		}
		all, text = append(all, packets...), after
	}
}

// enarmor renders packets in armor.
func enarmor(packets []byte) []byte {
	var b bytes.Buffer
	b.WriteString(armor + "\n\n")
	for text := base64.StdEncoding.EncodeToString(packets); text != ""; {
		n := min(64, len(text))
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	b.WriteString(armorEnd + "\n")
	return b.Bytes()
}

// pgpFingerprints returns the fingerprints of the public keys among packets, subkeys left out, in capitals.
func pgpFingerprints(packets []byte) ([]string, error) {
	var all []string
	for len(packets) > 0 {
		tag, body, rest, err := nextPacket(packets)
		if err != nil {
			return nil, err
		}
		packets = rest
		switch {
		case tag == packetSecret || tag == packetSecretSub:
			return nil, errors.New("this is a secret key: export the public one")
		case len(all) == 0 && tag != packetPublic:
			return nil, errors.New("this is no OpenPGP public key")
		case tag != packetPublic:
			continue
		case len(body) > 0 && body[0] == 4 && len(body) <= 0xffff:
			sum := sha1.Sum(append([]byte{0x99, byte(len(body) >> 8), byte(len(body))}, body...))
			all = append(all, fmt.Sprintf("%X", sum))
		case len(body) > 0 && body[0] == 6:
			sum := sha256.Sum256(append(binary.BigEndian.AppendUint32([]byte{0x9b}, uint32(len(body))), body...))
			all = append(all, fmt.Sprintf("%X", sum))
		default:
			return nil, errors.New("this is an OpenPGP key of a version other than 4 and 6")
		}
	}
	if len(all) == 0 {
		return nil, errors.New("this is no OpenPGP public key")
	}
	return all, nil
}

// nextPacket splits off one packet, RFC 9580 section 4.2. Lengths that keys never have are errors.
func nextPacket(data []byte) (tag int, body, rest []byte, err error) {
	bad := errors.New("this is no OpenPGP public key, or a part of one")
	head, data := data[0], data[1:]
	if head&0x80 == 0 || len(data) == 0 {
		return 0, nil, nil, bad
	}
	tag, octets, length := int(head&0x3f), 0, uint64(data[0])
	if head&0x40 == 0 { // the old form
		tag = int(head >> 2 & 0xf)
		if head&3 == 3 {
			return 0, nil, nil, bad
		}
		octets, length = 1<<(head&3), 0
	} else {
		data = data[1:]
		switch {
		case length == 255:
			octets, length = 4, 0
		case length >= 224:
			return 0, nil, nil, bad
		case length >= 192:
			octets, length = 1, length-192
		}
	}
	if len(data) < octets {
		return 0, nil, nil, bad
	}
	for _, b := range data[:octets] {
		length = length<<8 | uint64(b)
	}
	if head&0x40 != 0 && octets == 1 {
		length += 192
	}
	data = data[octets:]
	if uint64(len(data)) < length {
		return 0, nil, nil, bad
	}
	return tag, data[:length], data[length:], nil
}
