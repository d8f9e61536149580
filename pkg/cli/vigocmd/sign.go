package vigocmd

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/trust"
)

// readSigner reads a private key: PKCS #8, SEC 1, or as `cosign generate-key-pair` writes it, with the password in
// COSIGN_PASSWORD. Without a path there is none.
func readSigner(env *cli.Env, path string) (*trust.Signer, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	if data, err = decrypt(env, data); err != nil {
		return nil, fmt.Errorf("reading the key %s: %w", path, err)
	}
	signer, err := trust.LoadSigner(data)
	if err != nil {
		return nil, fmt.Errorf("reading the key %s: %w", path, err)
	}
	return signer, nil
}

// decrypt opens a key of cosign; another one is returned as it is.
func decrypt(env *cli.Env, data []byte) ([]byte, error) {
	block, _ := pem.Decode(data)
	if block == nil || !strings.HasPrefix(block.Type, "ENCRYPTED ") || block.Type == "ENCRYPTED PRIVATE KEY" {
		return data, nil
	}
	der, err := encrypted.Decrypt(block.Bytes, []byte(env.Getenv("COSIGN_PASSWORD")))
	if err != nil {
		return nil, fault.WithHint(errors.New("the password does not open it"), "put its password into COSIGN_PASSWORD")
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func sign(ctx context.Context, env *cli.Env, signer *trust.Signer, store bundle.Store, d bundle.Descriptor) error {
	sig, err := signer.SignManifest(ctx, d)
	if err != nil {
		return err
	}
	_, err = trust.Attach(ctx, store, d, sig, env.Now())
	return err
}
