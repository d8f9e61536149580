package resources

import (
	"crypto/hmac"
	"crypto/sha1" // the format of known_hosts knows no other
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// knownHost is one line of a list of known hosts, sshd(8).
type knownHost struct {
	marker  string // without the "@"
	hosts   []string
	keyType string
	key     string
	comment string
}

// parseKnownHost reads a line; it is not ok when the line is empty, a comment or something else.
func parseKnownHost(line string) (l knownHost, ok bool) {
	f := strings.Fields(line)
	if len(f) > 0 && strings.HasPrefix(f[0], "@") {
		if l.marker, f = f[0][1:], f[1:]; l.marker == "" {
			return l, false
		}
	}
	if len(f) < 3 || strings.HasPrefix(f[0], "#") {
		return l, false
	}
	l.hosts, l.keyType, l.key, l.comment = strings.Split(f[0], ","), f[1], f[2], strings.Join(f[3:], " ")
	return l, true
}

// String renders the line.
func (l knownHost) String() string {
	text := strings.Join(l.hosts, ",") + " " + l.keyType + " " + l.key
	if l.marker != "" {
		text = "@" + l.marker + " " + text
	}
	if l.comment != "" {
		text += " " + l.comment
	}
	return text
}

// hashed reports whether the line keeps its host to itself; such a line has only one.
func (l knownHost) hashed() bool { return strings.HasPrefix(l.hosts[0], "|1|") }

// split tells which of the names the line is about, and which other entries it has.
func (l knownHost) split(names []string) (mine, others []string) {
	for _, entry := range l.hosts {
		if i := slices.IndexFunc(names, func(n string) bool { return n == entry || isHashOf(entry, n) }); i >= 0 {
			mine = append(mine, names[i])
			continue
		}
		others = append(others, entry)
	}
	return mine, others
}

// isHashOf reports whether an entry |1|salt|hash is that of a name.
func isHashOf(entry, name string) bool {
	f := strings.Split(entry, "|")
	if len(f) != 4 || f[0] != "" || f[1] != "1" {
		return false
	}
	salt, err := base64.StdEncoding.DecodeString(f[2])
	return err == nil && hashHost(name, salt) == entry
}

// hashHost renders a name as an entry that can be compared but not read.
func hashHost(name string, salt []byte) string {
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(name))
	return "|1|" + base64.StdEncoding.EncodeToString(salt) + "|" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// machineSalt is what salts are made of: the same on each run, another on each machine.
func machineSalt(h *host.Host) ([]byte, error) {
	id, err := h.FS.Read("/etc/machine-id", 4096)
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("reading the id of the machine: %w", err), "hashed needs /etc/machine-id")
	}
	return id, nil
}

// saltFor is the salt for a name: 20 bytes, as ssh-keygen(1) has it.
func saltFor(machine []byte, name string) []byte {
	mac := hmac.New(sha256.New, machine)
	mac.Write([]byte("vigo known host " + name))
	return mac.Sum(nil)[:sha1.Size]
}

// checkPublicKey says what is wrong with an SSH public key. RFC 4253 section 6.6: the blob starts with the name of the type.
func checkPublicKey(keyType, key string) error {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil || strings.ContainsAny(key, "\r\n") { // which base64 passes over
		return fault.WithHint(errors.New("key: is not base64"), "only the second column of the .pub file belongs here")
	}
	if len(raw) < 4 || uint64(binary.BigEndian.Uint32(raw)) > uint64(len(raw)-4) ||
		string(raw[4:4+binary.BigEndian.Uint32(raw)]) != keyType {
		return fmt.Errorf("key: is not a key of type %q", keyType)
	}
	return nil
}
