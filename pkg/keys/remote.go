package keys

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"time"

	"vigo.dev/pkg/excerpt"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/trust"
)

// signTimeout bounds one signature of a token or a service; a person may have to touch a key.
const signTimeout = time.Minute

// A remote is a key that does not leave the place it is kept in.
type remote struct {
	public crypto.PublicKey
	// sign signs data: a SHA-256 for ECDSA, the message itself for Ed25519.
	sign func(ctx context.Context, data []byte) ([]byte, error)
}

var _ crypto.Signer = (*remote)(nil)

// Public implements crypto.Signer.
func (r *remote) Public() crypto.PublicKey { return r.public }

// Sign implements crypto.Signer. What comes back is verified: a token that is worn out, or a service that answers for
// another key, must not put something into a registry that every agent refuses.
func (r *remote) Sign(_ io.Reader, data []byte, _ crypto.SignerOpts) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), signTimeout)
	defer cancel()
	signature, err := r.sign(ctx, data)
	if err != nil {
		return nil, err
	}
	ok := false
	switch k := r.public.(type) {
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(k, data, signature)
	case ed25519.PublicKey:
		ok = ed25519.Verify(k, data, signature)
	}
	if !ok {
		return nil, errors.New("the signature that was returned does not verify with the key")
	}
	return signature, nil
}

// newRemote makes a signer, after a signature to see that the key can be used.
func newRemote(public crypto.PublicKey, sign func(context.Context, []byte) ([]byte, error)) (*trust.Signer, error) {
	r := &remote{public: public, sign: sign}
	signer, err := trust.NewSigner(r)
	if err != nil {
		return nil, err
	}
	if _, err := r.Sign(nil, bytes.Repeat([]byte{1}, 32), crypto.SHA256); err != nil {
		return nil, fmt.Errorf("trying the key: %w", err)
	}
	return signer, nil
}

// run starts a program, and returns what it printed when it succeeded.
func run(ctx context.Context, runner host.Runner, argv []string, env []string, stdin []byte) ([]byte, error) {
	if runner == nil {
		return nil, errors.New("programs cannot be started here")
	}
	res, err := runner.Run(ctx, host.Command{Argv: argv, Env: env, Stdin: bytes.NewReader(stdin)})
	if err != nil {
		return nil, err
	}
	if res.Code != 0 {
		return nil, fmt.Errorf("%s: exit status %d: %s", argv[0], res.Code, excerpt.Said(res.Stderr))
	}
	return res.Stdout, nil
}
