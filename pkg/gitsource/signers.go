package gitsource

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"golang.org/x/crypto/ssh"

	"vigo.dev/pkg/fault"
)

// The files of a repository that say who may sign its commits.
const (
	SignersFile = "allowed_signers"     // as OpenSSH has it: ssh-keygen(1), "ALLOWED SIGNERS"
	KeyringFile = "allowed_signers.asc" // OpenPGP public keys in ASCII armour
)

const maxSignersFile = 1 << 20

// Signers is who may sign commits.
type Signers struct {
	ssh []sshSigner
	pgp openpgp.EntityList
}

type sshSigner struct {
	name          string // principals, as written
	key           ssh.PublicKey
	after, before time.Time // zero: open
}

// ParseSigners reads the contents of [SignersFile] and [KeyringFile]; either may be empty. Lines it does not understand
// are errors, all at once: a signer that is overlooked locks somebody out, and an option that is overlooked lets somebody
// in.
func ParseSigners(allowed, keyring []byte) (Signers, error) {
	var s Signers
	if len(allowed) > maxSignersFile || len(keyring) > maxSignersFile {
		return s, fmt.Errorf("reading the signers: a file has more than %d bytes", maxSignersFile)
	}
	var problems fault.Problems
	for i, line := range strings.Split(string(allowed), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		one, ok, err := parseSigner(line)
		switch {
		case err != nil:
			problems = append(problems, fault.Problem{Pos: fault.Pos{File: SignersFile, Line: i + 1}, Code: "bad-signer", Msg: err.Error()})
		case ok:
			s.ssh = append(s.ssh, one)
		}
	}
	if len(bytes.TrimSpace(keyring)) > 0 {
		var err error
		if s.pgp, err = openpgp.ReadArmoredKeyRing(bytes.NewReader(keyring)); err != nil {
			problems = append(problems, fault.Problem{Pos: fault.Pos{File: KeyringFile}, Code: "bad-signer", Msg: "this is not a list of OpenPGP public keys: " + err.Error(),
				Hint: "gpg --armor --export NAME > " + KeyringFile})
		}
	}
	return s, problems.Err()
}

// SignersIn reads who may sign from the files of a commit. Files that are not there name nobody.
func SignersIn(fsys fs.FS) (Signers, error) {
	var files [2][]byte
	for i, name := range []string{SignersFile, KeyringFile} {
		data, err := fs.ReadFile(fsys, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Signers{}, fmt.Errorf("reading the signers: %w", err)
		}
		files[i] = data
	}
	return ParseSigners(files[0], files[1])
}

// None reports whether nobody may sign.
func (s Signers) None() bool { return len(s.ssh) == 0 && len(s.pgp) == 0 }

// parseSigner reads one line: principals, options, key type, key, comment. ok is false for a key that is not for git.
func parseSigner(line string) (s sshSigner, ok bool, err error) {
	principals, rest, found := cutPrincipals(line)
	if !found {
		return s, false, errors.New("want principals, then options, and a public key")
	}
	key, _, options, trailing, err := ssh.ParseAuthorizedKey([]byte(rest))
	if err != nil || len(trailing) > 0 {
		return s, false, errors.New("this is not a public key in the form ssh-ed25519 AAAA…")
	}
	s, ok = sshSigner{name: principals, key: key}, true
	for _, option := range options {
		name, value, _ := strings.Cut(option, "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(name) {
		case "namespaces":
			ok = false
			for namespace := range strings.SplitSeq(value, ",") {
				ok = ok || namespace == gitNamespace || namespace == "*"
			}
		case "valid-after":
			s.after, err = parseSignerTime(value)
		case "valid-before":
			s.before, err = parseSignerTime(value)
		case "cert-authority":
			return s, false, errors.New("certificates are not supported: list the keys themselves")
		default:
			return s, false, fmt.Errorf("the option %q is not known", name)
		}
		if err != nil {
			return s, false, err
		}
	}
	return s, ok, nil
}

// cutPrincipals takes the first field off a line; it may be in quotes.
func cutPrincipals(line string) (principals, rest string, found bool) {
	if quoted, isQuoted := strings.CutPrefix(line, `"`); isQuoted {
		principals, rest, found = strings.Cut(quoted, `"`)
	} else if at := strings.IndexAny(line, " \t"); at > 0 {
		principals, rest, found = line[:at], line[at:], true
	}
	return principals, strings.TrimSpace(rest), found && principals != ""
}

// parseSignerTime reads YYYYMMDD[HHMM[SS]][Z]; times without Z are taken as UTC, since where the file is read must not
// matter.
func parseSignerTime(s string) (time.Time, error) {
	digits := strings.TrimSuffix(s, "Z")
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if t, err := time.Parse(layout, digits); err == nil && len(digits) == len(layout) {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time of the form YYYYMMDD[HHMM[SS]]Z", s)
}
