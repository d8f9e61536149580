// Package secrets opens the secrets of a policy: values in git that are encrypted with age, SOPS files, and what files,
// environment variables and Vault or OpenBao servers of the controller hold.
//
// It refuses to keep a value, to write one anywhere, to follow a policy out of the places the operator of the controller
// allows, and to name a value in an error.
package secrets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"sync"
	"time"

	"filippo.io/age"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/secrets/sops"
)

// MaxValue bounds one value, in bytes: what a node gets must fit into one message.
const MaxValue = 1 << 20

// ErrUnreachable says that a provider could not be asked now.
var ErrUnreachable = errors.New("could not be asked")

// ErrElsewhere is what every error about a secret is that is not in the repository: it is no mistake of a commit, and the same
// question may be answered later.
var ErrElsewhere = errors.New("the secret is kept elsewhere")

type elsewhere struct{ error }

func (e elsewhere) Unwrap() error        { return e.error }
func (e elsewhere) Is(target error) bool { return target == ErrElsewhere }

// ErrNoIdentity says that nothing is there to open encrypted files with.
var ErrNoIdentity = fault.WithHint(errors.New("there is no age identity to open it with"), "docs/secrets.md says where identities are looked for")

// An Opener opens secrets with what one controller, or one person, has. Its fields are not changed while it is used.
type Opener struct {
	Identities []age.Identity
	// Dir is the folder that providers of kind file name folders in; empty: no policy may read files.
	Dir string
	// Getenv reads variables for providers of kind env; nil: no policy may read any.
	Getenv func(string) string
	// Vaults are the servers that policies may name, with the token of each; others are not asked, so that no policy can send
	// a token elsewhere.
	Vaults map[string]Token
	Client *http.Client // nil: one of its own
	Now    func() time.Time

	mu    sync.Mutex
	known map[string]kept // answers of providers, until they are old
}

// A Token returns the token for a server when it is needed: it may have been renewed.
type Token func() (string, error)

// kept is an answer of a provider in memory.
type kept struct {
	value []byte
	until time.Time
}

// A Session opens secrets of one commit; a SOPS file is decrypted once for all of its values.
type Session struct {
	o     *Opener
	fsys  fs.FS
	rules policy.Secrets
	files map[string]opened
}

type opened struct {
	values map[string]string
	err    error
}

// In begins to open secrets of one commit.
func (o *Opener) In(fsys fs.FS, rules policy.Secrets) *Session {
	return &Session{o: o, fsys: fsys, rules: rules, files: map[string]opened{}}
}

// Open returns the value of a secret. Errors that are [ErrElsewhere] may pass; others are of the repository or of what this
// controller may open.
func (s *Session) Open(ctx context.Context, name string) ([]byte, error) {
	place, ok := s.rules.Locate(name)
	if !ok {
		return nil, fault.WithHint(fmt.Errorf("there is no secret %q", name), fault.DidYouMean(name, s.rules.Names()))
	}
	value, err := s.open(ctx, place)
	if err == nil && len(value) > MaxValue {
		err = fmt.Errorf("it has %d bytes, more than the %d that are allowed", len(value), MaxValue)
	}
	if err != nil {
		return nil, fmt.Errorf("opening secret %s: %w", name, err)
	}
	return value, nil
}

func (s *Session) open(ctx context.Context, place policy.SecretPlace) ([]byte, error) {
	switch {
	case place.Provider != "":
		value, err := s.o.ask(ctx, place.Provider, s.rules.Providers[place.Provider], place.Key)
		if err != nil {
			return nil, elsewhere{err}
		}
		return value, nil
	case place.Key == "":
		data, err := s.read(place.File)
		if err != nil {
			return nil, err
		}
		value, err := Decrypt(data, s.o.Identities)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path.Join(policy.SecretsDir, place.File), err)
		}
		return value, nil
	}
	file, ok := s.files[place.File]
	if !ok {
		file.values, file.err = s.sops(place.File)
		s.files[place.File] = file
	}
	if file.err != nil {
		return nil, fmt.Errorf("%s: %w", path.Join(policy.SecretsDir, place.File), file.err)
	}
	value, ok := file.values[place.Key]
	if !ok {
		var keys []string
		for key := range file.values {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		return nil, fault.WithHint(fmt.Errorf("%s has no value %q", path.Join(policy.SecretsDir, place.File), place.Key), fault.DidYouMean(place.Key, keys))
	}
	return []byte(value), nil
}

func (s *Session) read(file string) ([]byte, error) {
	data, err := fs.ReadFile(s.fsys, path.Join(policy.SecretsDir, file))
	if err == nil && len(data) > policy.MaxSecret {
		err = fmt.Errorf("it has %d bytes, more than the %d that are allowed", len(data), policy.MaxSecret)
	}
	return data, err
}

func (s *Session) sops(file string) (map[string]string, error) {
	data, err := s.read(file)
	if err != nil {
		return nil, err
	}
	return sops.Decrypt(file, data, func(enc []byte) ([]byte, error) { return Decrypt(enc, s.o.Identities) })
}
