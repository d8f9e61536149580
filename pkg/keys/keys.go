// Package keys opens signing keys wherever they are kept: in a file, in an environment variable, in a hardware token
// behind PKCS#11, or with a key service behind a program.
//
// It refuses to make keys, to decide what a key may sign (package trust does), to keep a private key longer than the
// signer it returns, and to pass a secret on a command line.
package keys

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/trust"
)

// Options is what opening a key may need.
type Options struct {
	Getenv func(string) string
	Runner host.Runner // for exec: and pkcs11:
}

const maxKeyFile = 64 << 10

// Open returns a signer for the key that ref names:
//
//	PATH or file:PATH        PEM: PKCS #8, SEC 1, or as `cosign generate-key-pair` writes it, with its password in
//	                         COSIGN_PASSWORD
//	env:NAME                 the same, out of an environment variable
//	pkcs11:token=T;object=O  a key in a token, RFC 7512; see [Options] and pkcs11.go
//	exec:PROGRAM ARGUMENT…   a key of a service, through a program; see plugin.go
//
// A key that is not there, or cannot be used, shows here and not when it is to sign.
func Open(ctx context.Context, ref string, o Options) (*trust.Signer, error) {
	scheme, rest, ok := strings.Cut(ref, ":")
	if !ok || strings.Contains(scheme, "/") {
		scheme, rest = "file", ref
	}
	switch scheme {
	case "file":
		return openFile(rest, o)
	case "env":
		value := o.Getenv(rest)
		if value == "" {
			return nil, fmt.Errorf("reading a key: the environment variable %s is not set", rest)
		}
		return parse([]byte(value), "the environment variable "+rest, o)
	case "exec":
		return openPlugin(ctx, strings.Fields(rest), o.Runner)
	case "pkcs11":
		return openToken(ctx, ref, o.Runner)
	}
	return nil, fault.WithHint(fmt.Errorf("opening key %q: %q is no place for keys that is known here", ref, scheme), "write a path, env:NAME, pkcs11:… or exec:PROGRAM")
}

func openFile(path string, o Options) (*trust.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading a key: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, fmt.Errorf("reading a key: %s is no file with a key", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a key: %w", err)
	}
	return parse(data, path, o)
}

func parse(data []byte, where string, o Options) (*trust.Signer, error) {
	data, err := decrypt(data, o.Getenv)
	if err != nil {
		return nil, fmt.Errorf("reading the key in %s: %w", where, err)
	}
	signer, err := trust.LoadSigner(data)
	if err != nil {
		return nil, fmt.Errorf("reading the key in %s: %w", where, err)
	}
	return signer, nil
}

// decrypt opens a key of cosign; another one is returned as it is.
func decrypt(data []byte, getenv func(string) string) ([]byte, error) {
	block, _ := pem.Decode(data)
	if block == nil || !strings.HasPrefix(block.Type, "ENCRYPTED ") || block.Type == "ENCRYPTED PRIVATE KEY" {
		return data, nil
	}
	der, err := encrypted.Decrypt(block.Bytes, []byte(getenv("COSIGN_PASSWORD")))
	if err != nil {
		return nil, fault.WithHint(errors.New("the password does not open it"), "put its password into COSIGN_PASSWORD")
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
