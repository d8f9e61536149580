// Package ceremony keeps the files with which people change a trust root together: the root document in force, a proposal
// for the next one, and the signatures they collect, each of which is made on a machine that sees no other key.
//
// It refuses to hold or make private keys, to change a proposal that somebody has signed, and to talk to a network: the
// folder is what is carried from machine to machine.
package ceremony

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/trust"
)

// A Proposal is the next root document, not in force yet.
type Proposal struct {
	Old, Next  trust.Root
	Signatures [][]byte // of Next, as they lie in the folder; not verified
	dir        string
}

func rootName(version int64) string { return fmt.Sprintf("root-%d.json", version) }

// Path is where the proposed document is.
func (p *Proposal) Path() string { return filepath.Join(p.dir, rootName(p.Next.Version)) }

// ErrSigned says that a proposal was signed and is not changed any more.
var ErrSigned = fault.WithHint(errors.New("the proposal is signed already"), "to change it all the same, remove its signatures: root-N.*.sig")

// ReadRoot reads a root document.
func ReadRoot(path string) (trust.Root, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return trust.Root{}, fmt.Errorf("reading a root document: %w", err)
	}
	root, err := trust.ParseRoot(data)
	if err != nil {
		return trust.Root{}, fmt.Errorf("%s: %w", path, err)
	}
	return root, nil
}

// Propose returns the proposal for the root after old in a folder: the one that lies there, to be changed further, or a new
// one that is a copy of old. [ErrSigned] if somebody has signed it.
func Propose(dir string, old trust.Root) (*Proposal, error) {
	p := &Proposal{Old: old, Next: old.Next(), dir: dir}
	_, err := os.Stat(p.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for a proposal: %w", err)
	}
	there, err := Load(p.Path(), "")
	switch {
	case err != nil:
		return nil, err
	case !same(there.Old, old):
		return nil, fmt.Errorf("%s: it was made for another root %d than this", p.Path(), old.Version)
	case len(there.Signatures) > 0:
		return nil, fmt.Errorf("%s: %w", p.Path(), ErrSigned)
	}
	return there, nil
}

// Load reads a proposal and the signatures beside it. oldPath is the root document in force; empty: root-N.json beside it,
// where [Proposal.Save] puts it.
func Load(path, oldPath string) (*Proposal, error) {
	next, err := ReadRoot(path)
	if err != nil {
		return nil, err
	}
	p := &Proposal{Next: next, dir: filepath.Dir(path)}
	if filepath.Base(path) != rootName(next.Version) {
		return nil, fault.WithHint(fmt.Errorf("%s holds root %d", path, next.Version), "a proposal is kept as "+rootName(next.Version)+", with its signatures beside it")
	}
	if oldPath == "" {
		oldPath = filepath.Join(p.dir, rootName(next.Version-1))
	}
	if p.Old, err = ReadRoot(oldPath); err != nil {
		return nil, fault.WithHint(err, "the root document in force has to be there too: "+rootName(next.Version-1)+" beside the proposal, or named with --after")
	}
	if p.Old.Version != next.Version-1 {
		return nil, fmt.Errorf("%s is root %d, which root %d does not follow", oldPath, p.Old.Version, next.Version)
	}
	return p, p.readSignatures()
}

// maxSignatureFile bounds a file with a signature, in bytes; it holds the document.
const maxSignatureFile = 1 << 20

func (p *Proposal) readSignatures() error {
	names, err := filepath.Glob(filepath.Join(p.dir, p.signatureName("*")))
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("reading a signature: %w", err)
		}
		if info.Size() > maxSignatureFile {
			return fmt.Errorf("reading a signature: %s is too large for one", name)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("reading a signature: %w", err)
		}
		p.Signatures = append(p.Signatures, data)
	}
	return nil
}

// Save writes the proposal, and the root document in force beside it, so that the folder is all that a signer needs. It makes
// the folder when there is none.
func (p *Proposal) Save() error {
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return fmt.Errorf("keeping the proposal: %w", err)
	}
	for _, root := range []trust.Root{p.Old, p.Next} {
		data, err := root.Marshal()
		if err != nil {
			return err
		}
		if err := atomicfile.Write(filepath.Join(p.dir, rootName(root.Version)), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Sign adds a signature to the folder and returns its file. It refuses a key that counts on neither side, and what no agent
// could follow.
func (p *Proposal) Sign(ctx context.Context, signer *trust.Signer) (string, error) {
	id := signer.Public().ID()
	if !slices.Contains(p.Old.Roles[trust.RoleRoot].Keys, id) && !slices.Contains(p.Next.Roles[trust.RoleRoot].Keys, id) {
		return "", fault.WithHint(fmt.Errorf("key %s is a root key neither of root %d nor of root %d", Short(id), p.Old.Version, p.Next.Version),
			"sign with a key of the role root; vigo trust show prints them")
	}
	data, err := signer.SignRoot(ctx, p.Next)
	if err != nil {
		return "", err
	}
	name := filepath.Join(p.dir, p.signatureName(Short(id)))
	if err := atomicfile.Write(name, data, 0o644); err != nil {
		return "", err
	}
	p.Signatures = nil
	return name, p.readSignatures()
}

func (p *Proposal) signatureName(by string) string {
	return fmt.Sprintf("root-%d.%s.sig", p.Next.Version, by)
}

// Short is the beginning of a key's ID in hexadecimal digits, for people and for names of files.
func Short(id string) string {
	sum, err := base64.StdEncoding.DecodeString(id)
	if err != nil || len(sum) < 6 {
		return id
	}
	return hex.EncodeToString(sum[:6])
}

// FindKey returns the ID of the key of a root that is named by its ID, by the beginning of it or of its digits as [Short]
// gives them.
func FindKey(r trust.Root, name string) (string, error) {
	var found []string
	for id := range r.Keys {
		if id == name || len(name) >= 4 && (strings.HasPrefix(id, name) || strings.HasPrefix(Short(id), name)) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fault.WithHint(fmt.Errorf("root %d lists no key %s", r.Version, name), "vigo trust show prints the keys")
	}
	return "", fmt.Errorf("%d keys of root %d begin with %s", len(found), r.Version, name)
}

func same(a, b trust.Root) bool {
	one, err1 := a.Marshal()
	two, err2 := b.Marshal()
	return err1 == nil && err2 == nil && string(one) == string(two)
}
