package trust_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

func TestAPointerIsReadAsItWasSigned(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	want := f.pointer(1<<60 + 1) // beyond what float64 holds exactly
	want.Prefetch = []bundle.Target{{Digest: bundle.DigestOf([]byte("x")), Size: 10}}
	want.Revoked = []string{bundle.DigestOf([]byte("bad"))}
	want.Modes = map[string]bool{"emergency": true, "<&>": false}
	f.point(want, f.channelKey)
	got, payload, err := f.newest()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	signed, err := trust.PointerPayload(want)
	if err != nil || bundle.DigestOf(signed) != payload {
		t.Errorf("payload digest %s, %v", payload, err)
	}
}

func TestPointersForOthersAreRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		edit func(*bundle.Pointer)
		want string
	}{
		"other channel":     {func(p *bundle.Pointer) { p.Channel = "staging" }, bundle.WrongChannel},
		"other fleet":       {func(p *bundle.Pointer) { p.Fleet = "factory" }, bundle.WrongFleet},
		"a stolen epoch":    {func(p *bundle.Pointer) { p.Epoch = 1 << 60 }, bundle.WrongEpoch},
		"an older epoch ok": {func(p *bundle.Pointer) { p.Epoch = 1 }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			p := f.pointer(2)
			tt.edit(&p)
			f.point(p, f.channelKey)
			_, _, err := f.newest()
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantRefusal(t, err, tt.want)
		})
	}
}

func TestAPointerSignedByTheBundleKeyIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.point(f.pointer(2), f.bundleKey)
	_, _, err := f.newest()
	wantRefusal(t, err, bundle.WrongKey)
}

func TestAnUnsignedPointerIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.point(f.pointer(2))
	_, _, err := f.newest()
	wantRefusal(t, err, bundle.Unsigned)
}

func TestAChannelWithoutKeysIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	delete(f.root.Roles, trust.RoleChannel("main"))
	_, _, err := f.newest()
	wantRefusal(t, err, bundle.WrongKey)
	f.root.Grant(trust.RoleAnyChannel, 1, trust.Key{Public: f.channelKey.Public()})
	if _, _, err := f.newest(); err != nil {
		t.Error(err)
	}
}

func TestSignaturesOfDifferentPointersDoNotAddUp(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	second := newKey(t)
	f.root.Grant(trust.RoleChannel("main"), 2, trust.Key{Public: second.Public()})
	a, b := f.pointer(2), f.pointer(2)
	b.Modes = map[string]bool{"x": true}
	one, err := f.channelKey.SignPointer(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	two, err := second.SignPointer(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	f.carry(a, one, two)
	_, _, err = f.newest()
	wantRefusal(t, err, bundle.Threshold)
	f.point(f.pointer(3), f.channelKey, f.channelKey)
	_, _, err = f.newest()
	wantRefusal(t, err, bundle.Threshold)
	f.point(f.pointer(4), f.channelKey, second)
	if _, _, err := f.newest(); err != nil {
		t.Error(err)
	}
}

func TestAnOldPointerBesideTheNewOneChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	sign := func(p bundle.Pointer) []byte {
		s, err := f.channelKey.SignPointer(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for seq := int64(5); seq < 25; seq++ { // whatever the order of a map
		older, newer := f.pointer(seq-1), f.pointer(seq)
		f.carry(newer, sign(older), sign(newer))
		p, _, err := f.newest()
		if err != nil || p.Seq != seq {
			t.Fatalf("pointer %s, %v", p.Version(), err)
		}
	}
	newer, twin := f.pointer(30), f.pointer(30)
	twin.Modes = map[string]bool{"x": true}
	f.carry(newer, sign(f.pointer(29)), sign(newer), sign(twin))
	_, _, err := f.newest()
	wantRefusal(t, err, bundle.Equivocation)
}

func TestABundleIsNoPointer(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	if err := f.store.Tag(t.Context(), f.built.Descriptor, "channel-main"); err != nil {
		t.Fatal(err)
	}
	_, _, err := f.newest()
	wantRefusal(t, err, bundle.BadFormat)
}

func TestAMissingPointerIsNotThere(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	_, _, err := trust.NewVerifier(f.root, clock).Pointer(t.Context(), f.store, "lab", "nowhere")
	if !errors.Is(err, bundle.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestATagThatStaysIsNeverMoved(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	p := f.pointer(1)
	p.Modes = map[string]bool{"other": true}
	sig, err := f.channelKey.SignPointer(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, trust.PublishPointer(t.Context(), f.store, p, [][]byte{sig}), bundle.Equivocation)
}

func TestPublishingTheSameBytesAgainChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	s, err := trust.NewVerifier(f.root, clock).SignedPointer(t.Context(), f.store, "lab", "main")
	if err != nil {
		t.Fatal(err)
	}
	before, err := f.store.Resolve(t.Context(), "channel-main")
	if err != nil {
		t.Fatal(err)
	}
	if err := trust.PublishPointer(t.Context(), f.store, s.Pointer, s.Signatures); err != nil {
		t.Fatal(err)
	}
	after, err := f.store.Resolve(t.Context(), "channel-main")
	if err != nil || after.Digest != before.Digest {
		t.Errorf("%v, %v, want %v", after, err, before)
	}
}

func TestBadPointersAreNotSigned(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for name, tt := range map[string]struct {
		edit func(*bundle.Pointer)
		want string
	}{
		"no fleet":           {func(p *bundle.Pointer) { p.Fleet = "" }, bundle.BadFormat},
		"no number":          {func(p *bundle.Pointer) { p.Seq = 0 }, bundle.BadFormat},
		"expires before":     {func(p *bundle.Pointer) { p.Expires = p.Issued.Add(-time.Hour) }, bundle.BadFormat},
		"strange digest":     {func(p *bundle.Pointer) { p.Stable.Digest = "sha256:../x" }, bundle.BadFormat},
		"no size":            {func(p *bundle.Pointer) { p.Stable.Size = 0 }, bundle.BadFormat},
		"revokes what it is": {func(p *bundle.Pointer) { p.Revoked = []string{p.Stable.Digest} }, bundle.Revoked},
		"endless":            {func(p *bundle.Pointer) { p.Revoked = make([]string, 2000) }, bundle.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			p := f.pointer(2)
			tt.edit(&p)
			_, err := f.channelKey.SignPointer(t.Context(), p)
			wantRefusal(t, err, tt.want)
		})
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	p := func(epoch, seq int64) bundle.Pointer {
		return bundle.Pointer{Epoch: epoch, Seq: seq, Issued: noon, Expires: noon.Add(time.Hour)}
	}
	seen := trust.Memory{Epoch: 2, Seq: 5, Payload: "five", Issued: noon}
	old := noon.Add(-10 * 365 * 24 * time.Hour) // a host without a clock battery
	for name, tt := range map[string]struct {
		memory  trust.Memory
		pointer bundle.Pointer
		payload string
		now     time.Time
		want    string
		next    trust.Memory
	}{
		"first":                          {trust.Memory{}, p(1, 1), "one", noon, "", trust.Memory{Epoch: 1, Seq: 1, Payload: "one", Issued: noon}},
		"next":                           {seen, p(2, 6), "six", noon, "", trust.Memory{Epoch: 2, Seq: 6, Payload: "six", Issued: noon}},
		"the same":                       {seen, p(2, 5), "five", noon, "", seen},
		"lower seq":                      {seen, p(2, 4), "four", noon, bundle.Rollback, seen},
		"lower epoch":                    {seen, p(1, 900), "x", noon, bundle.Rollback, seen},
		"higher epoch, lower seq":        {seen, p(3, 1), "new", noon, "", trust.Memory{Epoch: 3, Seq: 1, Payload: "new", Issued: noon}},
		"equal seq, other content":       {seen, p(2, 5), "six", noon, bundle.Equivocation, seen},
		"expired":                        {seen, p(2, 6), "six", noon.Add(2 * time.Hour), bundle.Expired, seen},
		"expired first":                  {trust.Memory{}, p(2, 6), "six", noon.Add(2 * time.Hour), bundle.Expired, trust.Memory{}},
		"the same, expired":              {seen, p(2, 5), "five", noon.Add(2 * time.Hour), bundle.Expired, seen},
		"a clock in the past":            {seen, p(2, 6), "six", old, "", trust.Memory{Epoch: 2, Seq: 6, Payload: "six", Issued: noon}},
		"rollback is told before expiry": {seen, p(2, 4), "four", noon.Add(2 * time.Hour), bundle.Rollback, seen},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.memory.Accept(tt.pointer, tt.payload, tt.now)
			if tt.want != "" {
				wantRefusal(t, err, tt.want)
			} else if err != nil {
				t.Fatal(err)
			}
			if got != tt.next {
				t.Errorf("remembers %+v, want %+v", got, tt.next)
			}
		})
	}
}

func TestAnExpiredPointerIsToldByAHostWithoutAClock(t *testing.T) {
	t.Parallel()
	m := trust.Memory{Epoch: 1, Seq: 5, Payload: "five", Issued: noon}
	replayed := bundle.Pointer{Epoch: 1, Seq: 6, Issued: noon.Add(-48 * time.Hour), Expires: noon.Add(-24 * time.Hour)}
	_, err := m.Accept(replayed, "six", time.Unix(0, 0))
	wantRefusal(t, err, bundle.Expired)
}

func TestMemorySurvivesJSON(t *testing.T) {
	t.Parallel()
	want, err := trust.Memory{}.Accept(bundle.Pointer{Epoch: 1, Seq: 1, Issued: noon.In(time.FixedZone("x", 3600)), Expires: noon.Add(time.Hour)}, "p", noon)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got trust.Memory
	if err := json.Unmarshal(data, &got); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}
