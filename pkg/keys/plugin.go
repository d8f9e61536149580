package keys

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/trust"
)

// A plug-in is a program that signs with a key service: one that a site writes in an afternoon around the command line of
// its cloud. It is started once for each request, with a request as JSON on its standard input, and answers with JSON on
// its standard output. It ends with another status than 0 when it cannot, and says why on standard error.
//
//	{"version":1,"operation":"public"}                                  -> {"publicKey":"-----BEGIN PUBLIC KEY-----…"}
//	{"version":1,"operation":"sign","hash":"sha256","data":"<base64>"}  -> {"signature":"<base64>"}
//
// The data to sign is a SHA-256 for ECDSA keys (hash "sha256"; the signature is ASN.1 DER) and the message itself for
// Ed25519 keys (hash "none").
type pluginRequest struct {
	Version   int    `json:"version"`
	Operation string `json:"operation"`
	Hash      string `json:"hash,omitempty"`
	Data      []byte `json:"data,omitempty"`
}

type pluginAnswer struct {
	PublicKey string `json:"publicKey"`
	Signature []byte `json:"signature"`
}

func openPlugin(ctx context.Context, argv []string, runner host.Runner) (*trust.Signer, error) {
	if len(argv) == 0 {
		return nil, errors.New("opening a key: exec: names no program")
	}
	ask := func(ctx context.Context, q pluginRequest) (pluginAnswer, error) {
		var answer pluginAnswer
		data, err := json.Marshal(q)
		if err != nil {
			return answer, err
		}
		out, err := run(ctx, runner, argv, nil, data)
		if err != nil {
			return answer, fmt.Errorf("asking for %s: %w", q.Operation, err)
		}
		if err := json.NewDecoder(bytes.NewReader(out)).Decode(&answer); err != nil {
			return answer, fmt.Errorf("asking for %s: %s did not answer with JSON: %w", q.Operation, argv[0], err)
		}
		return answer, nil
	}
	answer, err := ask(ctx, pluginRequest{Version: 1, Operation: "public"})
	if err != nil {
		return nil, fmt.Errorf("opening the key of %s: %w", argv[0], err)
	}
	block, _ := pem.Decode([]byte(answer.PublicKey))
	if block == nil {
		return nil, fmt.Errorf("opening the key of %s: the answer holds no public key in PEM", argv[0])
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("opening the key of %s: %w", argv[0], err)
	}
	signer, err := newRemote(public, func(ctx context.Context, data []byte) ([]byte, error) {
		answer, err := ask(ctx, pluginRequest{Version: 1, Operation: "sign", Hash: hashOf(public), Data: data})
		return answer.Signature, err
	})
	if err != nil {
		return nil, fmt.Errorf("opening the key of %s: %w", argv[0], err)
	}
	return signer, nil
}

func hashOf(public crypto.PublicKey) string {
	if _, ok := public.(ed25519.PublicKey); ok {
		return "none"
	}
	return "sha256"
}
