package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
)

// EnvPrefix is what the variables begin with that a policy may read.
const EnvPrefix = "VIGO_SECRET_"

// defaultRefresh is how long the answer of a provider is used.
const defaultRefresh = 5 * time.Minute

// ask returns what a provider says, or what it said a short while ago.
func (o *Opener) ask(ctx context.Context, name string, p policy.SecretProvider, key string) ([]byte, error) {
	id := strings.Join([]string{p.Kind, p.Address, p.Namespace, p.Mount, p.Path, p.Prefix, key}, "\x00")
	o.mu.Lock()
	was, ok := o.known[id]
	o.mu.Unlock()
	if ok && o.Now().Before(was.until) {
		return was.value, nil
	}
	value, err := o.askNow(ctx, p, key)
	if err != nil {
		return nil, fmt.Errorf("provider %s: %w", name, err)
	}
	refresh := p.Refresh
	if refresh == 0 {
		refresh = defaultRefresh
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.known == nil {
		o.known = map[string]kept{}
	}
	o.known[id] = kept{value, o.Now().Add(refresh)}
	return value, nil
}

func (o *Opener) askNow(ctx context.Context, p policy.SecretProvider, key string) ([]byte, error) {
	switch p.Kind {
	case "env":
		return o.env(p, key)
	case "file":
		return o.file(p, key)
	case "vault":
		return o.vault(ctx, p, key)
	}
	return nil, fmt.Errorf("%q is no kind of provider that is known to this version", p.Kind)
}

// env reads a variable. Only those with the prefix are for policies, so that no policy reads the tokens of the controller.
func (o *Opener) env(p policy.SecretProvider, key string) ([]byte, error) {
	if o.Getenv == nil {
		return nil, errors.New("no policy may read the environment here")
	}
	variable := EnvPrefix + p.Prefix + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z' || r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
	value := o.Getenv(variable)
	if value == "" {
		return nil, fmt.Errorf("the environment variable %s is not set here", variable)
	}
	return []byte(value), nil
}

// file reads a file below the folder that the operator has given, and follows no link out of it.
func (o *Opener) file(p policy.SecretProvider, key string) (_ []byte, err error) {
	if o.Dir == "" {
		return nil, fault.WithHint(errors.New("no policy may read files here"), "--secrets-dir DIR names the folder that policies may read secrets from")
	}
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	name := p.Path + "/" + key
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s in %s", name, o.Dir)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s in %s is no file", name, o.Dir)
	}
	return io.ReadAll(io.LimitReader(f, MaxValue+1))
}
