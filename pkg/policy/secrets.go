package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
)

// SecretsDir is the folder of a repository that holds encrypted values.
const SecretsDir = "secrets"

// MaxSecret bounds one encrypted file, in bytes.
const MaxSecret = 1 << 20

// Secrets says where the secrets of a policy come from. It holds names and digests, no value.
type Secrets struct {
	// Files are the encrypted files below secrets/ by path relative to it, with the digest of each as it is in git. They make
	// a new value a new bundle.
	Files map[string]string `json:"files,omitempty"`
	// Providers are services and folders of the controller, by the name that secrets of theirs begin with.
	Providers map[string]SecretProvider `json:"providers,omitempty"`
}

// A SecretProvider is a place outside of the repository that the controller asks.
type SecretProvider struct {
	Kind      string        `json:"kind"` // vault, file or env
	Address   string        `json:"address,omitempty"`
	Mount     string        `json:"mount,omitempty"` // of vault; secret if empty
	Path      string        `json:"path,omitempty"`  // in the mount, or the folder
	Prefix    string        `json:"prefix,omitempty"`
	Namespace string        `json:"namespace,omitempty"`
	Timeout   time.Duration `json:"timeout,omitempty"` // of one question; 0: 10 s
	Refresh   time.Duration `json:"refresh,omitempty"` // between two; 0: 5 min
	Pos       fault.Pos     `json:"pos"`
}

// A SecretPlace is where one secret is.
type SecretPlace struct {
	Provider string // name in Providers; empty: a file of the repository
	File     string // below secrets/
	Version  string // digest of File
	Key      string // in a file of several values, or at the provider; empty: the file is the value
}

var secretName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@-]*(/[A-Za-z0-9_][A-Za-z0-9_.@-]*)*(#[A-Za-z0-9_][A-Za-z0-9_.@-]*)?$`)

// CheckSecretName returns what is wrong with the name of a secret, or nil.
func CheckSecretName(name string) error {
	if len(name) > 200 || !secretName.MatchString(name) || strings.Contains(name, "..") {
		return fault.WithHint(fmt.Errorf("%.210q is not a name for a secret", name), `words of letters, digits, _, -, . and @, with / between them, such as "db/password"`)
	}
	return nil
}

// ageExt is how the name of a file with one value ends.
const ageExt = ".age"

// sopsExts are how the names of SOPS files end.
func sopsExts() []string { return []string{".yaml", ".yml", ".json", ".env", ".ini"} }

// Locate finds where a secret is: at the provider its name begins with; in secrets/NAME.age; or, for a/b/c, in the SOPS file
// secrets/a.yaml under the keys b and c, or secrets/a/b.yaml under c. A file of one value wins over one of several.
func (s Secrets) Locate(name string) (SecretPlace, bool) {
	if first, rest, ok := strings.Cut(name, "/"); ok {
		if _, known := s.Providers[first]; known {
			return SecretPlace{Provider: first, Key: rest}, true
		}
	}
	if digest, ok := s.Files[name+ageExt]; ok {
		return SecretPlace{File: name + ageExt, Version: digest}, true
	}
	for at := len(name); at > 0; at = strings.LastIndexByte(name[:at], '/') {
		if at == len(name) {
			continue // a SOPS file is not a value as a whole
		}
		for _, ext := range sopsExts() {
			for _, mark := range []string{"", ".sops", ".enc"} {
				file := name[:at] + mark + ext
				if digest, ok := s.Files[file]; ok {
					return SecretPlace{File: file, Version: digest, Key: name[at+1:]}, true
				}
			}
		}
	}
	return SecretPlace{}, false
}

// Names returns the names that can be told from the names of files, sorted; of SOPS files that of the file with /… behind it.
func (s Secrets) Names() []string {
	var all []string
	for file := range s.Files {
		if name, ok := strings.CutSuffix(file, ageExt); ok {
			all = append(all, name)
			continue
		}
		name := strings.TrimSuffix(file, path.Ext(file))
		name = strings.TrimSuffix(strings.TrimSuffix(name, ".sops"), ".enc")
		all = append(all, name+"/…")
	}
	for name := range s.Providers {
		all = append(all, name+"/…")
	}
	slices.Sort(all)
	return all
}

// IsSecretFile says whether a file below secrets/ holds values, rather than recipients or an explanation.
func IsSecretFile(name string) bool {
	base := path.Base(name)
	return !strings.HasPrefix(base, ".") && (strings.HasSuffix(name, ageExt) || slices.Contains(sopsExts(), path.Ext(name)))
}

// ListSecrets lists the encrypted files of a repository.
func ListSecrets(fsys fs.FS) (Secrets, error) {
	var problems fault.Problems
	l := loader{fsys: fsys, problems: &problems}
	var s Secrets
	if err := l.secrets(&s); err != nil {
		return s, err
	}
	return s, problems.Err()
}

// secrets lists the encrypted files. What they hold is not looked at: that takes an identity.
func (l *loader) secrets(s *Secrets) error {
	err := fs.WalkDir(l.fsys, SecretsDir, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name := strings.TrimPrefix(file, SecretsDir+"/")
		if !IsSecretFile(name) {
			return nil
		}
		info, err := e.Info()
		switch {
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			l.fail(file, "not-a-file", "", "a secret must be a regular file")
			return nil
		case info.Size() > MaxSecret:
			l.fail(file, "too-large", "", fmt.Sprintf("the secret has %d bytes, more than the %d that are allowed", info.Size(), MaxSecret))
			return nil
		case len(s.Files) >= MaxFiles:
			return tooLarge(SecretsDir, "more than %d files", MaxFiles)
		}
		data, err := fs.ReadFile(l.fsys, file)
		if err != nil {
			return err
		}
		if s.Files == nil {
			s.Files = map[string]string{}
		}
		sum := sha256.Sum256(data)
		s.Files[name] = "sha256:" + hex.EncodeToString(sum[:])
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", SecretsDir, err)
	}
	return nil
}

// secretProviders reads the key secrets of fleet.yaml.
func (r *reader) secretProviders(n *yaml.Node) Secrets {
	s := Secrets{Providers: map[string]SecretProvider{}}
	entries, _ := r.mapping(n, "secrets")
	for _, e := range entries {
		if !nameRule.MatchString(e.key) {
			r.fail(e.node, "bad-name", "lower-case letters, digits, - and _", "%q is not a name for a provider of secrets", e.key)
		}
		keys, ok := r.mapping(e.value, "a provider of secrets")
		if !ok {
			continue
		}
		p := SecretProvider{Pos: r.pos(e.node)}
		for _, k := range keys {
			r.secretProviderKey(&p, k)
		}
		switch p.Kind {
		case "vault":
			r.only(keys, "vault", "mount", "path", "namespace", "timeout", "refresh")
		case "file", "env":
			r.only(keys, p.Kind, "refresh")
		default:
			r.fail(e.node, "missing-key", "vault: https://vault.example.com:8200, file: FOLDER or env: PREFIX", "the provider %q says neither vault, file nor env", e.key)
		}
		s.Providers[e.key] = p
	}
	return s
}

var (
	envPrefix  = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,60}$`)
	vaultPath  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$`)
	folderName = vaultPath
)

func (r *reader) secretProviderKey(p *SecretProvider, k entry) {
	word := func(what string, rule *regexp.Regexp) string {
		s := r.str(k.value, what)
		if !rule.MatchString(s) {
			r.fail(k.value, "bad-value", "", "%q cannot be used as %s", s, what)
		}
		return s
	}
	switch k.key {
	case "vault":
		p.Kind, p.Address = k.key, strings.TrimSuffix(r.str(k.value, "vault"), "/")
		u, err := url.Parse(p.Address)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" {
			r.fail(k.value, "bad-value", "https://vault.example.com:8200", "%q is not the URL of a Vault or OpenBao server", p.Address)
		}
	case "file":
		p.Kind, p.Path = k.key, word("the folder", folderName)
	case "env":
		p.Kind, p.Prefix = k.key, word("the prefix", envPrefix)
	case "mount":
		p.Mount = word("the mount", vaultPath)
	case "path":
		p.Path = word("the path", vaultPath)
	case "namespace":
		p.Namespace = word("the namespace", vaultPath)
	case "timeout":
		p.Timeout = r.duration(k.value, "the timeout")
	case "refresh":
		p.Refresh = r.duration(k.value, "refresh")
	}
}
