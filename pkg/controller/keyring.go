package controller

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/keys"
	"vigo.dev/pkg/trust"
)

const (
	bundleKeyName  = "bundle.key"
	channelKeyName = "channel.key"
	rootKeyName    = "root.key" // not needed day by day: its place is a safe
)

// RootName is the file of the root document in force, in the folder of a keyring.
const RootName = "root.json"

// KeyringOptions says where the keys of a controller are.
type KeyringOptions struct {
	// Bundle and Channel are references for [keys.Open]; empty: a file in the folder of the keyring.
	Bundle, Channel string
	// Root are the keys that may sign the next root document, and RootThreshold how many of them must. They count when the
	// first root document is made; with none a root key is made beside the others.
	Root          []trust.PublicKey
	RootThreshold int
	Keys          keys.Options
	Now           func() time.Time
}

// Keyring is the [Keys] of a controller: a key for bundles, one for channels, and the root documents that say so. It needs
// no root key.
type Keyring struct {
	bundles  *trust.Signer
	channels *trust.Signer
	root     trust.Root
	now      func() time.Time
	document []byte
	lineage  lineage
}

var (
	_ Keys    = (*Keyring)(nil)
	_ Witness = (*Keyring)(nil)
	_ Gates   = (*Keyring)(nil)
	_ Orders  = (*Keyring)(nil)
)

// OpenKeyring opens the keys and reads the root document in dir, and makes them when there are none. Some of them without
// the others are an error: new keys would lock every node out. So are keys that the root document does not list.
func OpenKeyring(ctx context.Context, dir string, o KeyringOptions) (*Keyring, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the keys: %w", err)
	}
	if err := errors.Join(atomicfile.Sweep(dir), atomicfile.Sweep(filepath.Join(dir, lineageDir))); err != nil {
		return nil, fmt.Errorf("opening the keys: %w", err)
	}
	document, err := os.ReadFile(filepath.Join(dir, RootName))
	if errors.Is(err, fs.ErrNotExist) {
		if document, err = makeKeyring(ctx, dir, o); err != nil {
			return nil, fmt.Errorf("making the keys: %w", err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("opening the keys: %w", err)
	}
	k := &Keyring{document: document, now: o.Now}
	if k.root, err = trust.ParseRoot(document); err != nil {
		return nil, fmt.Errorf("reading %s: %w", RootName, err)
	}
	if k.lineage, err = readLineage(dir, k.root); err != nil {
		return nil, err
	}
	if k.bundles, err = openSigner(ctx, dir, bundleKeyName, o.Bundle, o.Keys); err != nil {
		return nil, err
	}
	if k.channels, err = openSigner(ctx, dir, channelKeyName, o.Channel, o.Keys); err != nil {
		return nil, err
	}
	return k, k.checkListed()
}

// checkListed refuses keys with which nothing could be signed that agents take.
func (k *Keyring) checkListed() error {
	now, id := k.now(), k.channels.Public().ID()
	if err := k.root.Allows(trust.RoleBundle, k.bundles.Public().ID(), now); err != nil {
		return fault.WithHint(fmt.Errorf("opening the bundle key: %w", err),
			"name a key that is listed with --bundle-key, or list this one: vigo trust rotate; vigo trust show prints who may sign what")
	}
	err := k.root.Allows(trust.RoleAnyChannel, id, now)
	for _, role := range slices.Sorted(maps.Keys(k.root.Roles)) {
		if err != nil && strings.HasPrefix(role, trust.RoleChannel("")) && k.root.Allows(role, id, now) == nil {
			err = nil
		}
	}
	if err != nil {
		return fault.WithHint(fmt.Errorf("opening the channel key: %w", err),
			"name a key that is listed with --channel-key, or list this one: vigo trust rotate; vigo trust show prints who may sign what")
	}
	return nil
}

// makeKeyring makes the keys that are not named, and last the root document: a crash in between leaves keys that nobody
// trusts yet.
func makeKeyring(ctx context.Context, dir string, o KeyringOptions) ([]byte, error) {
	root := trust.Root{Version: 1}
	for role, key := range map[string][2]string{trust.RoleBundle: {bundleKeyName, o.Bundle}, trust.RoleAnyChannel: {channelKeyName, o.Channel}} {
		var signer *trust.Signer
		var err error
		if key[1] == "" {
			signer, err = makeKey(dir, key[0])
		} else {
			signer, err = keys.Open(ctx, key[1], o.Keys)
		}
		if err != nil {
			return nil, err
		}
		root.Grant(role, 1, trust.Key{Public: signer.Public()})
	}
	for _, public := range o.Root {
		root.Grant(trust.RoleRoot, max(o.RootThreshold, 1), trust.Key{Public: public})
	}
	if len(o.Root) == 0 {
		signer, err := makeKey(dir, rootKeyName)
		if err != nil {
			return nil, err
		}
		root.Grant(trust.RoleRoot, 1, trust.Key{Public: signer.Public()})
	}
	document, err := root.Marshal()
	if err != nil {
		return nil, err
	}
	return document, atomicfile.Write(filepath.Join(dir, RootName), document, 0o644)
}

// makeKey makes a key in a file, with its public half beside it.
func makeKey(dir, name string) (*trust.Signer, error) {
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
	public := filepath.Join(dir, strings.TrimSuffix(name, ".key")+".pub")
	return signer, atomicfile.Write(public, signer.Public().PEM(), 0o644)
}

func openSigner(ctx context.Context, dir, name, ref string, o keys.Options) (*trust.Signer, error) {
	if ref != "" {
		return keys.Open(ctx, ref, o)
	}
	signer, err := keys.Open(ctx, "file:"+filepath.Join(dir, name), o)
	if errors.Is(err, fs.ErrNotExist) {
		err = fault.WithHint(err, "put the backup of the folder keys there, or say where the key is with --"+strings.TrimSuffix(name, ".key")+"-key; if it is lost, docs/trust.md says what to do")
	}
	return signer, err
}

// Root returns the root document, as nodes pin it at enrolment.
func (k *Keyring) Root() []byte { return k.document }

// Attach implements [Keys].
func (k *Keyring) Attach(ctx context.Context, store bundle.Store, d bundle.Descriptor, now time.Time) error {
	by, err := trust.NewVerifier(k.root, k.now).Signers(ctx, store, d)
	if err != nil || slices.Contains(by, k.bundles.Public().ID()) {
		return err
	}
	signature, err := k.bundles.SignManifest(ctx, d)
	if err != nil {
		return err
	}
	_, err = trust.Attach(ctx, store, d, signature, now)
	return err
}

// Attest implements [Witness].
func (k *Keyring) Attest(ctx context.Context, store bundle.Store, d bundle.Descriptor, p trust.Provenance, now time.Time) error {
	there, err := trust.NewVerifier(k.root, k.now).Provenance(ctx, store, d)
	if err != nil {
		return err
	}
	told := func(promotion trust.Promotion) bool {
		return slices.ContainsFunc(there, func(known trust.Provenance) bool {
			return slices.ContainsFunc(known.Promotions, func(q trust.Promotion) bool { return q.Channel == promotion.Channel })
		})
	}
	if len(there) > 0 && !slices.ContainsFunc(p.Promotions, func(q trust.Promotion) bool { return !told(q) }) {
		return nil
	}
	signed, err := k.bundles.SignProvenance(ctx, d, p)
	if err != nil {
		return err
	}
	_, err = trust.AttachProvenance(ctx, store, d, signed, now)
	return err
}

// SignPointer implements [Keys]. What agents would refuse is not signed.
func (k *Keyring) SignPointer(ctx context.Context, p bundle.Pointer) (signature []byte, payload string, err error) {
	role, id := trust.RoleChannel(p.Channel), k.channels.Public().ID()
	if err := k.root.Allows(role, id, k.now()); err != nil {
		return nil, "", fault.WithHint(err, "list the channel key of this controller for the role "+role+": vigo trust add-key")
	}
	if !k.root.Enough(role, []string{id}) {
		return nil, "", fault.WithHint(fmt.Errorf("role %s of root %d asks for more signatures than that of the controller alone", role, k.root.Version),
			"lower its threshold with a new root: vigo trust rotate --threshold 1")
	}
	statement, err := trust.PointerPayload(p)
	if err != nil {
		return nil, "", err
	}
	signature, err = k.channels.SignPointer(ctx, p)
	return signature, bundle.DigestOf(statement), err
}

// Publish implements [Keys]. The root documents that agents need to accept the pointer come first.
func (k *Keyring) Publish(ctx context.Context, store bundle.Store, p bundle.Pointer, signatures [][]byte) error {
	if err := k.lineage.publish(ctx, store); err != nil {
		return err
	}
	return trust.PublishPointer(ctx, store, p, signatures)
}

// Current implements [Keys]. A pointer of an earlier root is ours too: it is where the numbers of its epoch stand.
func (k *Keyring) Current(ctx context.Context, src bundle.Source, fleet, channel string) (bundle.Pointer, [][]byte, string, error) {
	s, err := trust.NewVerifier(k.root, k.now).SignedPointer(ctx, src, fleet, channel)
	var refused *trust.Refusal
	if !errors.As(err, &refused) {
		return s.Pointer, s.Signatures, s.Payload, err
	}
	for _, earlier := range slices.Backward(k.lineage.before) {
		if s, err := trust.NewVerifier(earlier, k.now).SignedPointer(ctx, src, fleet, channel); err == nil {
			return s.Pointer, s.Signatures, s.Payload, nil
		}
	}
	return bundle.Pointer{}, nil, "", fmt.Errorf("%w: %w", ErrForeign, err)
}

// Epoch implements [Keys].
func (k *Keyring) Epoch() int64 { return k.root.Epoch() }
