package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"filippo.io/age"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/excerpt"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// maxIdentities bounds a file of identities, in bytes: one that is cut would lack its last identities, and nobody would know.
const maxIdentities = 64 << 10

// IdentityOptions is what reading identities may need.
type IdentityOptions struct {
	Getenv func(string) string
	Runner host.Runner // for exec:
}

// ReadIdentities reads the age identities that ref names:
//
//	PATH or file:PATH      age identities, one a line, or an SSH private key
//	env:NAME               the same, out of an environment variable
//	exec:PROGRAM ARGUMENT… the same, as a program prints them: a password manager, an agent
//
// A file that others may read is refused.
func ReadIdentities(ctx context.Context, ref string, o IdentityOptions) ([]age.Identity, error) {
	scheme, rest, ok := strings.Cut(ref, ":")
	if !ok || strings.Contains(scheme, "/") {
		scheme, rest = "file", ref
	}
	switch scheme {
	case "file":
		return identityFile(rest)
	case "env":
		value := o.Getenv(rest)
		if value == "" {
			return nil, fmt.Errorf("reading an identity: the environment variable %s is not set", rest)
		}
		return ParseIdentities("the environment variable "+rest, []byte(value))
	case "exec":
		argv := strings.Fields(rest)
		if len(argv) == 0 || o.Runner == nil {
			return nil, errors.New("reading an identity: exec: names no program")
		}
		res, err := o.Runner.Run(ctx, host.Command{Argv: argv, Limit: maxIdentities})
		if err == nil && res.Code != 0 {
			err = fmt.Errorf("it ended with status %d: %s", res.Code, excerpt.Said(res.Stderr))
		}
		if err != nil {
			return nil, fmt.Errorf("reading an identity from %s: %w", argv[0], err)
		}
		return ParseIdentities("what "+argv[0]+" prints", res.Stdout)
	}
	return nil, fault.WithHint(fmt.Errorf("reading identity %q: %q is no place for identities that is known here", ref, scheme), "write a path, env:NAME or exec:PROGRAM")
}

func identityFile(path string) (_ []age.Identity, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading an identity: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading an identity: %w", err)
	}
	if perm := info.Mode().Perm(); info.Mode().IsRegular() && perm&0o077 != 0 {
		return nil, fault.WithHint(fmt.Errorf("reading an identity: %s has mode %04o: others may read it", path, perm), "chmod 600 "+path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxIdentities+1))
	if err == nil && len(data) > maxIdentities {
		err = fmt.Errorf("%s has more than %d bytes", path, maxIdentities)
	}
	if err != nil {
		return nil, fmt.Errorf("reading an identity: %w", err)
	}
	return ParseIdentities(path, data)
}

// KeepIdentity reads the identity in a file, and makes it when it is missing, with its recipient in PATH.pub.
func KeepIdentity(path string) ([]age.Identity, error) {
	ids, err := identityFile(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return ids, err
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("making an identity: %w", err)
	}
	if err := atomicfile.Write(path, []byte(id.String()+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("making an identity: %w", err)
	}
	if err := atomicfile.Write(path+".pub", []byte(id.Recipient().String()+"\n"), 0o644); err != nil {
		return nil, fmt.Errorf("making an identity: %w", err)
	}
	return []age.Identity{id}, nil
}
