package adopt

import (
	"bytes"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"unicode/utf8"
)

// Text that is a secret wherever it stands.
var secretText = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY|AGE-SECRET-KEY-1|\bAKIA[0-9A-Z]{16}\b|[a-z][a-z0-9+]*://[^/\s:@]+:[^/\s@]+@` +
	`|\$(?:1|5|6|7|y|gy|2[abxy]|apr1)\$[./A-Za-z0-9=,]+\$|\$2[abxy]\$\d\d\$|\bpbkdf2\.sha512\.` + // hashes of passwords
	`|\b(?:ghp|gho|ghs|ghu|github_pat|glpat|xox[abp])[_-][A-Za-z0-9_-]{16,}`)

// A line that sets a password, in a file that everybody may read.
var secretLine = regexp.MustCompile(`(?im)^[^#;\n]*\b[a-z_.-]*(password|passwd|passphrase|secret|token|psk|api[_-]?key|private[_-]?key|presharedkey)\s*=\s*["']?[^\s"'#;$]{3,}`)

// A line that speaks of one, in a file that only some may read.
var secretWord = regexp.MustCompile(`(?im)^[^#;\n]*(password|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key|presharedkey|psk|credential|community|bindpw)[a-z_]*["']?[\s:=]+["']?[^\s"'#;]{3,}`)

// Names of files that hold secrets.
var secretNames = []string{"*.key", "*.p12", "*.pfx", "*.jks", "*.keytab", "*.kdbx", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", ".netrc",
	".pgpass", ".htpasswd", "htpasswd", "*shadow*", ".git-credentials", "credentials", "*.age", "*secrets*", "*.secret", "passwd.client", "private*"}

// secretOf says why a file looks like a secret; nothing if it does not. It is careful: what it takes for one by mistake can be
// written into the policy by hand, what it overlooks is in git.
func secretOf(name string, mode fs.FileMode, data []byte) string {
	data = bytes.ReplaceAll(data, []byte("NOPASSWD"), nil) // sudoers(5) says with it that none is asked for
	isNamed := func(pattern string) bool { return matches(pattern, path.Base(name)) }
	switch {
	case secretText.Match(data):
		return "holds a private key or a password"
	case slices.ContainsFunc(secretNames, isNamed):
		return "has the name of a file that holds secrets"
	case secretLine.Match(data):
		return "seems to hold a password"
	case mode&0o004 == 0 && !isText(data):
		return "is not text, and not everybody may read it"
	case mode&0o004 == 0 && secretWord.Match(data):
		return "seems to hold a password, and not everybody may read it"
	}
	return ""
}

func isText(data []byte) bool { return utf8.Valid(data) && bytes.IndexByte(data, 0) < 0 }
