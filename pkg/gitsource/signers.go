package gitsource

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
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
	name          string   // principals, as written
	namespaces    []string // what the key may sign; nil: anything
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
		one, err := parseSigner(line)
		if err != nil {
			problems = append(problems, fault.Problem{Pos: fault.Pos{File: SignersFile, Line: i + 1}, Code: "bad-signer", Msg: err.Error()})
			continue
		}
		s.ssh = append(s.ssh, one)
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

// None reports whether nobody may sign commits.
func (s Signers) None() bool { return len(s.who(gitNamespace)) == 0 }

// who lists the people who may sign in a namespace, each once; keys of OpenPGP are for every namespace.
func (s Signers) who(namespace string) []string {
	var names []string
	for _, one := range s.ssh {
		if one.signs(namespace) {
			names = append(names, one.name)
		}
	}
	for _, entity := range s.pgp {
		names = append(names, entityName(entity))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (s sshSigner) signs(namespace string) bool {
	return s.namespaces == nil || slices.ContainsFunc(s.namespaces, func(n string) bool { return n == namespace || n == "*" })
}

// entityName is the address of an OpenPGP key, or what else it is called.
func entityName(e *openpgp.Entity) string {
	identity := e.PrimaryIdentity()
	switch {
	case identity == nil:
		return fmt.Sprintf("%X", e.PrimaryKey.Fingerprint)
	case identity.UserId != nil && identity.UserId.Email != "":
		return identity.UserId.Email
	}
	return identity.Name
}

// parseSigner reads one line: principals, options, key type, key, comment.
func parseSigner(line string) (s sshSigner, err error) {
	principals, rest, found := cutPrincipals(line)
	if !found {
		return s, errors.New("want principals, then options, and a public key")
	}
	key, _, options, trailing, err := ssh.ParseAuthorizedKey([]byte(rest))
	if err != nil || len(trailing) > 0 {
		return s, errors.New("this is not a public key in the form ssh-ed25519 AAAA…")
	}
	s = sshSigner{name: principals, key: key}
	for _, option := range options {
		name, value, _ := strings.Cut(option, "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(name) {
		case "namespaces":
			s.namespaces = strings.Split(value, ",")
		case "valid-after":
			s.after, err = parseSignerTime(value)
		case "valid-before":
			s.before, err = parseSignerTime(value)
		case "cert-authority":
			return s, errors.New("certificates are not supported: list the keys themselves")
		default:
			return s, fmt.Errorf("the option %q is not known", name)
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
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
