package controller

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

const (
	bundleKeyName  = "bundle.key"
	channelKeyName = "channel.key"
	rootKeyName    = "root.key" // not needed day by day: its place is a safe
	rootName       = "root.json"
)

// Keyring is the [Keys] of a controller that keeps its keys in files: one for bundles, one for channels, and the root
// document that says so. The root key is made beside them and never read again.
type Keyring struct {
	bundles  *trust.Signer
	channels *trust.Signer
	root     trust.Root
	verifier *trust.Verifier
	document []byte
}

var _ Keys = (*Keyring)(nil)

// OpenKeyring reads the keys and the root document in dir, and makes them when there are none. Some of them without the
// others are an error: new keys would lock every node out.
func OpenKeyring(dir string, now func() time.Time) (*Keyring, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the keys: %w", err)
	}
	if err := atomicfile.Sweep(dir); err != nil {
		return nil, fmt.Errorf("opening the keys: %w", err)
	}
	document, err := os.ReadFile(filepath.Join(dir, rootName))
	if errors.Is(err, fs.ErrNotExist) {
		if document, err = makeKeyring(dir); err != nil {
			return nil, fmt.Errorf("making the keys: %w", err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("opening the keys: %w", err)
	}
	k := &Keyring{document: document}
	if k.root, err = trust.ParseRoot(document); err != nil {
		return nil, fmt.Errorf("reading %s: %w", rootName, err)
	}
	if k.bundles, err = loadSigner(filepath.Join(dir, bundleKeyName)); err != nil {
		return nil, err
	}
	if k.channels, err = loadSigner(filepath.Join(dir, channelKeyName)); err != nil {
		return nil, err
	}
	k.verifier = trust.NewVerifier(k.root, now)
	return k, nil
}

// makeKeyring makes the keys, and last the root document: a crash in between leaves keys that nobody trusts yet.
func makeKeyring(dir string) ([]byte, error) {
	root := trust.Root{Version: 1}
	for name, role := range map[string]string{bundleKeyName: trust.RoleBundle, channelKeyName: trust.RoleAnyChannel, rootKeyName: trust.RoleRoot} {
		signer, err := trust.NewKey()
		if err != nil {
			return nil, err
		}
		pem, err := signer.PEM()
		if err != nil {
			return nil, err
		}
		if err := atomicfile.Write(filepath.Join(dir, name), pem, 0o600); err != nil {
			return nil, err
		}
		public := filepath.Join(dir, name[:len(name)-len(".key")]+".pub")
		if err := atomicfile.Write(public, signer.Public().PEM(), 0o644); err != nil {
			return nil, err
		}
		root.Grant(role, 1, trust.Key{Public: signer.Public()})
	}
	document, err := root.Marshal()
	if err != nil {
		return nil, err
	}
	return document, atomicfile.Write(filepath.Join(dir, rootName), document, 0o644)
}

func loadSigner(path string) (*trust.Signer, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a key: %w", err)
	}
	signer, err := trust.LoadSigner(pem)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return signer, nil
}

// Root returns the root document, as nodes pin it at enrolment.
func (k *Keyring) Root() []byte { return k.document }

// Attach implements [Keys].
func (k *Keyring) Attach(ctx context.Context, store bundle.Store, d bundle.Descriptor, now time.Time) error {
	err := k.verifier.Signature(ctx, store, d)
	var refused *trust.Refusal
	if err == nil || !errors.As(err, &refused) {
		return err
	}
	signature, err := k.bundles.SignManifest(ctx, d)
	if err != nil {
		return err
	}
	_, err = trust.Attach(ctx, store, d, signature, now)
	return err
}

// SignPointer implements [Keys].
func (k *Keyring) SignPointer(ctx context.Context, p bundle.Pointer) (signature []byte, payload string, err error) {
	statement, err := trust.PointerPayload(p)
	if err != nil {
		return nil, "", err
	}
	signature, err = k.channels.SignPointer(ctx, p)
	return signature, bundle.DigestOf(statement), err
}

// Publish implements [Keys].
func (k *Keyring) Publish(ctx context.Context, store bundle.Store, p bundle.Pointer, signatures [][]byte) error {
	return trust.PublishPointer(ctx, store, p, signatures)
}

// Current implements [Keys].
func (k *Keyring) Current(ctx context.Context, src bundle.Source, fleet, channel string) (bundle.Pointer, [][]byte, string, error) {
	s, err := k.verifier.SignedPointer(ctx, src, fleet, channel)
	var refused *trust.Refusal
	if errors.As(err, &refused) {
		err = fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return s.Pointer, s.Signatures, s.Payload, err
}

// Epoch implements [Keys].
func (k *Keyring) Epoch() int64 { return k.root.Epoch() }
