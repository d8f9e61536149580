package keys

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/trust"
)

// token is a key in a PKCS#11 token, as a URI names it (RFC 7512):
//
//	pkcs11:token=vigo;object=bundle?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/vigo/pin
//
// It is reached through pkcs11-tool of OpenSC, so that our programs stay static: a module is a shared library, and one
// that crashes takes nobody with it. The PIN is handed over in the environment of that program alone.
type token struct {
	module, label, object, id string
	pin                       string
}

// pinVariable is what pkcs11-tool is told to take the PIN from.
const pinVariable = "VIGO_PKCS11_PIN"

func parseToken(ref string) (token, error) {
	var t token
	path, query, _ := strings.Cut(strings.TrimPrefix(ref, "pkcs11:"), "?")
	for attr := range strings.SplitSeq(path, ";") {
		name, value, _ := strings.Cut(attr, "=")
		value, err := url.PathUnescape(value)
		if err != nil {
			return t, fmt.Errorf("%s: %w", name, err)
		}
		switch name {
		case "token":
			t.label = value
		case "object":
			t.object = value
		case "id":
			t.id = fmt.Sprintf("%x", value)
		case "type", "":
		default:
			return t, fault.WithHint(fmt.Errorf("the attribute %q is not used here", name), "name the key by token and object, or by token and id")
		}
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return t, err
	}
	t.module = values.Get("module-path")
	switch {
	case t.label == "" || t.object == "" && t.id == "":
		return t, errors.New("it names no token, or no key in it")
	case t.module == "":
		return t, errors.New("it names no module-path, the library of the token's maker")
	case values.Has("pin-value"):
		return t, fault.WithHint(errors.New("a PIN in a URI is seen by everybody who sees the command line"), "put it into a file and write pin-source=file:PATH")
	}
	if source := values.Get("pin-source"); source != "" {
		name := strings.TrimPrefix(strings.TrimPrefix(source, "file:"), "//")
		data, err := os.ReadFile(name)
		if err != nil {
			return t, fmt.Errorf("reading the PIN: %w", err)
		}
		t.pin = strings.TrimRight(string(data), "\r\n")
	}
	return t, nil
}

func openToken(ctx context.Context, ref string, runner host.Runner) (*trust.Signer, error) {
	t, err := parseToken(ref)
	if err != nil {
		return nil, fmt.Errorf("opening a key in a token: %w", err)
	}
	signer, err := t.open(ctx, runner)
	if errors.Is(err, host.ErrNotFound) {
		err = fault.WithHint(err, "keys in tokens are reached through pkcs11-tool: install opensc")
	}
	if err != nil {
		return nil, fmt.Errorf("opening key %s%s in token %s: %w", t.object, t.id, t.label, err)
	}
	return signer, nil
}

func (t token) open(ctx context.Context, runner host.Runner) (*trust.Signer, error) {
	der, err := t.tool(ctx, runner, nil, "--read-object", "--type", "pubkey")
	if err != nil {
		return nil, fmt.Errorf("reading the public key: %w", err)
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("reading the public key: %w", err)
	}
	mechanism := []string{"--sign", "--mechanism", "ECDSA", "--signature-format", "openssl"}
	if _, ok := public.(ed25519.PublicKey); ok {
		mechanism = []string{"--sign", "--mechanism", "EDDSA"}
	}
	return newRemote(public, func(ctx context.Context, data []byte) ([]byte, error) {
		return t.tool(ctx, runner, data, mechanism...)
	})
}

// tool runs pkcs11-tool on the key.
func (t token) tool(ctx context.Context, runner host.Runner, stdin []byte, args ...string) ([]byte, error) {
	argv := []string{"pkcs11-tool", "--module", t.module, "--token-label", t.label}
	if t.object != "" {
		argv = append(argv, "--label", t.object)
	}
	if t.id != "" {
		argv = append(argv, "--id", t.id)
	}
	var env []string
	if t.pin != "" {
		argv = append(argv, "--login", "--pin", "env:"+pinVariable)
		env = []string{pinVariable + "=" + t.pin}
	}
	if conf := os.Getenv("SOFTHSM2_CONF"); conf != "" {
		env = append(env, "SOFTHSM2_CONF="+conf)
	}
	return run(ctx, runner, append(argv, args...), env, stdin)
}
