package ceremony_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/ceremony"
	"vigo.dev/pkg/trust"
)

func newKey(t *testing.T) *trust.Signer {
	t.Helper()
	key, err := trust.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newRoot is owned by two people who must agree.
func newRoot(t *testing.T) (root trust.Root, ada, ben *trust.Signer) {
	ada, ben = newKey(t), newKey(t)
	root.Version = 1
	root.Grant(trust.RoleRoot, 2, trust.Key{Public: ada.Public()}, trust.Key{Public: ben.Public()})
	root.Grant(trust.RoleBundle, 1, trust.Key{Public: newKey(t).Public()})
	return root, ada, ben
}

func propose(t *testing.T, dir string, root trust.Root, c ceremony.Change) *ceremony.Proposal {
	t.Helper()
	p, err := ceremony.Propose(dir, root)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Apply(c), p.Save()); err != nil {
		t.Fatal(err)
	}
	return p
}

// Each signs a copy of the folder; only the signatures come back.
func TestSignaturesOfTwoMachinesComeTogether(t *testing.T) {
	t.Parallel()
	root, ada, ben := newRoot(t)
	desk := t.TempDir()
	p := propose(t, desk, root, ceremony.Change{Role: "task", Add: []trust.PublicKey{newKey(t).Public()}})
	for _, key := range []*trust.Signer{ada, ben} {
		other := t.TempDir()
		if err := os.CopyFS(other, os.DirFS(desk)); err != nil {
			t.Fatal(err)
		}
		theirs, err := ceremony.Load(filepath.Join(other, filepath.Base(p.Path())), "")
		if err != nil {
			t.Fatal(err)
		}
		name, err := theirs.Sign(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(name)
		if err := errors.Join(err, os.WriteFile(filepath.Join(desk, filepath.Base(name)), data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	p, err := ceremony.Load(p.Path(), "")
	if err != nil {
		t.Fatal(err)
	}
	state, err := p.State()
	if err != nil || !state.Ready || len(state.Sides[0].Signed) != 2 || len(state.Sides[1].Open) != 0 {
		t.Errorf("%+v, %v", state.Sides, err)
	}
	if next, err := root.VerifySuccessor(p.Signatures); err != nil || next.Version != 2 {
		t.Errorf("an agent says: %v", err)
	}
	if _, err := ceremony.Propose(desk, root); !errors.Is(err, ceremony.ErrSigned) {
		t.Errorf("a signed proposal is changed: %v", err)
	}
}

// A new owner has to sign too: a root that its own keys cannot vouch for would be the last one.
func TestBothSidesAreCounted(t *testing.T) {
	t.Parallel()
	root, ada, ben := newRoot(t)
	cleo := newKey(t)
	p := propose(t, t.TempDir(), root, ceremony.Change{Role: trust.RoleRoot, Add: []trust.PublicKey{cleo.Public()}, Remove: []string{ben.Public().ID()}})
	for i, key := range []*trust.Signer{ada, ben, cleo} {
		if _, err := p.Sign(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		state, err := p.State()
		if err != nil || state.Ready != (i == 2) {
			t.Errorf("after %d signatures: %+v, %v", i+1, state.Sides, err)
		}
	}
}

func TestASignatureOfAnotherDocumentDoesNotCount(t *testing.T) {
	t.Parallel()
	root, ada, _ := newRoot(t)
	dir := t.TempDir()
	p := propose(t, dir, root, ceremony.Change{Role: "task", Add: []trust.PublicKey{newKey(t).Public()}})
	name, err := p.Sign(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := os.ReadFile(name)
	if err := errors.Join(err, os.Remove(name)); err != nil {
		t.Fatal(err)
	}
	p = propose(t, dir, root, ceremony.Change{Role: "task", Add: []trust.PublicKey{newKey(t).Public()}})
	if err := os.WriteFile(name, signed, 0o600); err != nil { // over the changed document
		t.Fatal(err)
	}
	if p, err = ceremony.Load(p.Path(), ""); err != nil {
		t.Fatal(err)
	}
	if state, err := p.State(); err != nil || len(state.Sides[0].Signed) != 0 {
		t.Errorf("%+v, %v", state.Sides, err)
	}
}

func TestChangesAreSaidInWords(t *testing.T) {
	t.Parallel()
	root, ada, ben := newRoot(t)
	until := time.Date(2030, 6, 30, 0, 0, 0, 0, time.UTC)
	p := propose(t, t.TempDir(), root, ceremony.Change{Role: trust.RoleRoot, Add: []trust.PublicKey{ada.Public()}, Instead: true, Threshold: 1, NotAfter: until})
	want := []string{
		"root: key " + ceremony.Short(ben.Public().ID()) + " is removed",
		"root: it needs 1 of 1 keys, before 2 of 2",
		"key " + ceremony.Short(ada.Public().ID()) + ": it is good until 2030-06-30T00:00:00Z, before always",
	}
	if diff := cmp.Diff(want, ceremony.Changes(p.Old, p.Next)); diff != "" {
		t.Error(diff)
	}
	if len(p.Old.Keys) != 3 || len(p.Old.Roles[trust.RoleRoot].Keys) != 2 {
		t.Error("the root in force was changed")
	}
}

func TestProposalsThatAreRefused(t *testing.T) {
	t.Parallel()
	root, ada, ben := newRoot(t)
	for name, c := range map[string]ceremony.Change{
		"no such key":        {Role: trust.RoleBundle, Remove: []string{ada.Public().ID()}},
		"fewer than needed":  {Role: trust.RoleRoot, Remove: []string{ben.Public().ID()}},
		"nobody for bundles": {Role: trust.RoleBundle, Remove: slices.Clone(root.Roles[trust.RoleBundle].Keys)},
		"nothing":            {Role: trust.RoleRoot, Add: []trust.PublicKey{ada.Public()}},
		"no such role":       {Role: "king", Add: []trust.PublicKey{ada.Public()}},
	} {
		p, err := ceremony.Propose(t.TempDir(), root)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Apply(c); err == nil {
			t.Errorf("%s: it is proposed", name)
		}
	}
}
