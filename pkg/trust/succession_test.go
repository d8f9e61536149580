package trust_test

import (
	"errors"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/bundle/bundletest"
	"vigo.dev/pkg/trust"
)

// lineage is a fleet whose root documents follow each other.
type lineage struct {
	t     *testing.T
	store *bundletest.Memory
	keys  map[string]*trust.Signer
}

func newLineage(t *testing.T) *lineage {
	l := &lineage{t: t, store: bundletest.NewMemory(), keys: map[string]*trust.Signer{}}
	for _, name := range []string{"a", "b", "c", "d", "bundle"} {
		l.keys[name] = newKey(t)
	}
	return l
}

// root makes version n with a threshold of the named root keys.
func (l *lineage) root(n int64, threshold int, keys ...string) trust.Root {
	r := trust.Root{Version: n}
	for _, name := range keys {
		r.Grant(trust.RoleRoot, threshold, trust.Key{Public: l.keys[name].Public()})
	}
	r.Grant(trust.RoleBundle, 1, trust.Key{Public: l.keys["bundle"].Public()})
	return r
}

// sign returns the signatures of the named keys.
func (l *lineage) sign(r trust.Root, by ...string) [][]byte {
	l.t.Helper()
	var all [][]byte
	for _, name := range by {
		s, err := l.keys[name].SignRoot(l.t.Context(), r)
		if err != nil {
			l.t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func (l *lineage) publish(r trust.Root, by ...string) {
	l.t.Helper()
	if err := trust.PublishRoot(l.t.Context(), l.store, r, l.sign(r, by...)); err != nil {
		l.t.Fatal(err)
	}
}

func TestRootsFollowEachOther(t *testing.T) {
	t.Parallel()
	l := newLineage(t)
	first := l.root(1, 2, "a", "b", "c")
	if got, err := first.Newest(t.Context(), l.store); err != nil || got.Version != 1 {
		t.Fatalf("without a successor: %d, %v", got.Version, err)
	}
	l.publish(l.root(2, 1, "b", "d"), "a", "b")      // b counts on both sides
	l.publish(l.root(3, 2, "c", "d"), "b", "c", "d") // all keys but one are new
	got, err := first.Newest(t.Context(), l.store)
	if err != nil || got.Version != 3 {
		t.Fatalf("version %d, %v", got.Version, err)
	}
}

func TestSuccessorsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		publish func(l *lineage)
		want    string
	}{
		"the old threshold short by one": {func(l *lineage) { l.publish(l.root(2, 1, "d"), "a", "d") }, bundle.Threshold},
		"one old key twice":              {func(l *lineage) { l.publish(l.root(2, 1, "d"), "a", "a", "d") }, bundle.Threshold},
		"not signed by its own keys":     {func(l *lineage) { l.publish(l.root(2, 1, "d"), "a", "b") }, bundle.WrongKey},
		"its own threshold short by one": {func(l *lineage) { l.publish(l.root(2, 2, "c", "d"), "a", "b", "d") }, bundle.Threshold},
		"signed by strangers":            {func(l *lineage) { l.publish(l.root(2, 1, "d"), "d") }, bundle.WrongKey},
		"nobody signed it":               {func(l *lineage) { l.publish(l.root(2, 1, "d")) }, bundle.Unsigned},
		"another version under the tag": {func(l *lineage) {
			l.publish(l.root(7, 1, "a"), "a", "b")
			l.move(trust.RootTag(7), trust.RootTag(2))
		}, bundle.Rollback},
		"the old root again": {func(l *lineage) {
			l.publish(l.root(1, 2, "a", "b", "c"), "a", "b")
			l.move(trust.RootTag(1), trust.RootTag(2))
		}, bundle.Rollback},
		"another artifact under the tag": {func(l *lineage) {
			f := newFleet(l.t)
			l.store = f.store
			l.move("channel-main", trust.RootTag(2))
		}, bundle.BadFormat},
		"signed as something else": {func(l *lineage) {
			d := bundle.DescriptorOf(bundle.ManifestMediaType, []byte("x"))
			var sigs [][]byte
			for _, name := range []string{"a", "b"} {
				s, err := l.keys[name].SignManifest(l.t.Context(), d)
				if err != nil {
					l.t.Fatal(err)
				}
				sigs = append(sigs, s)
			}
			if err := trust.PublishRoot(l.t.Context(), l.store, l.root(2, 1, "d"), sigs); err != nil {
				l.t.Fatal(err)
			}
		}, bundle.Predicate},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLineage(t)
			tt.publish(l)
			got, err := l.root(1, 2, "a", "b", "c").Newest(t.Context(), l.store)
			wantRefusal(t, err, tt.want)
			if got.Version != 1 {
				t.Errorf("the root went on to %d", got.Version)
			}
		})
	}
}

func (l *lineage) move(from, to string) {
	l.t.Helper()
	d, err := l.store.Resolve(l.t.Context(), from)
	if err == nil {
		err = l.store.Tag(l.t.Context(), d, to)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// Signatures of people who sign one after the other add up; another document under the number is not let in.
func TestSignaturesOfARootAreCollected(t *testing.T) {
	t.Parallel()
	l := newLineage(t)
	first, second := l.root(1, 2, "a", "b"), l.root(2, 2, "a", "b")
	l.publish(second, "a")
	if _, err := first.Successor(t.Context(), l.store); err == nil {
		t.Error("half of the signatures are enough")
	}
	l.publish(second, "a", "b")
	if got, err := first.Successor(t.Context(), l.store); err != nil || got.Root.Version != 2 {
		t.Errorf("%d, %v", got.Root.Version, err)
	}
	other := l.root(2, 1, "d")
	wantRefusal(t, trust.PublishRoot(t.Context(), l.store, other, l.sign(other, "a", "b", "d")), bundle.Equivocation)
}

// A node that was away while a root key ran out still walks past it.
func TestAKeyThatRanOutStillLeadsOn(t *testing.T) {
	t.Parallel()
	l := newLineage(t)
	first := l.root(1, 1)
	first.Grant(trust.RoleRoot, 1, trust.Key{Public: l.keys["a"].Public(), NotAfter: noon.Add(-time.Hour)})
	l.publish(l.root(2, 1, "b"), "a", "b")
	if got, err := first.Newest(t.Context(), l.store); err != nil || got.Version != 2 {
		t.Errorf("%d, %v", got.Version, err)
	}
}

// A stolen channel key has used up the numbers and the time; the next root, and with it the next epoch, ends that.
func TestANewEpochRecoversFromFastForward(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	far := f.pointer(1 << 60)
	far.Issued, far.Expires = noon.AddDate(50, 0, 0), noon.AddDate(51, 0, 0)
	m, err := trust.Memory{}.Accept(far, "sha256:far", noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Accept(f.pointer(5), "sha256:5", noon); err == nil {
		t.Fatal("the number went back within an epoch")
	}
	next := f.pointer(1)
	next.Epoch = far.Epoch + 1
	m, err = m.Accept(next, "sha256:next", noon)
	if err != nil || m.Seq != 1 || !m.Issued.Equal(noon) {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := m.Accept(far, "sha256:far", noon); !errors.As(err, new(*trust.Refusal)) {
		t.Errorf("the stolen epoch is accepted again: %v", err)
	}
}
