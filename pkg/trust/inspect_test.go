package trust_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

func (f *fleet) inspect(tag string) trust.Inspection {
	f.t.Helper()
	return trust.NewVerifier(f.root, clock).Inspect(f.t.Context(), f.store, trust.Inquiry{Tag: tag})
}

// came returns the states of all checks of a name, in order.
func came(i trust.Inspection, name string) (states []trust.State) {
	for _, c := range i.Checks {
		if c.Name == name {
			states = append(states, c.State)
		}
	}
	return states
}

func TestEveryCheckOfAPointerIsShown(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	i := f.inspect("channel-main")
	if err := i.Err(); err != nil {
		t.Fatal(err)
	}
	ok := []trust.State{trust.StateOK}
	twice := []trust.State{trust.StateOK, trust.StateOK} // of the pointer, and of the bundle it names
	for name, want := range map[string][]trust.State{
		trust.CheckManifest: ok, trust.CheckDigest: twice, trust.CheckType: ok, trust.CheckSignature: twice, trust.CheckKey: twice, trust.CheckWindow: twice,
		trust.CheckPredicate: twice, trust.CheckSubject: twice, trust.CheckThreshold: twice, trust.CheckFleet: twice, trust.CheckChannel: twice,
		trust.CheckEpoch: ok, trust.CheckSequence: ok, trust.CheckExpiry: ok, trust.CheckConfig: ok, trust.CheckContent: ok,
	} {
		if got := came(i, name); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if i.Pointer == nil || i.Pointer.Seq != 1 || i.Type != bundle.PointerType || i.Blobs != 3 {
		t.Errorf("%+v", i)
	}
}

func TestAnInspectionGoesOnAfterAFailure(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	p := f.pointer(2)
	p.Issued, p.Expires = noon.Add(-2*time.Hour), noon.Add(-time.Hour)
	other := f.build("factory", "main")
	p.Stable = bundle.Target{Digest: other.Descriptor.Digest, Size: other.Descriptor.Size}
	f.point(p, f.channelKey)
	i := f.inspect("channel-main")
	wantRefusal(t, i.Err(), bundle.Expired)
	var failed []string
	for _, c := range i.Checks {
		if c.State == trust.StateFailed {
			failed = append(failed, c.Name+" "+c.Refusal)
		}
	}
	if want := []string{"expiry expired", "signature unsigned", "fleet fleet"}; !slices.Equal(failed, want) {
		t.Errorf("failed: %q, want %q", failed, want)
	}
}

func TestWhatAgentsRefuseAnInspectionRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(f *fleet)
		want   string
	}{
		"the pointer of another channel under this tag": {func(f *fleet) {
			p := f.pointer(2)
			p.Channel = "staging"
			f.point(p, f.channelKey)
		}, bundle.WrongChannel},
		"one signature of two": {func(f *fleet) { f.root.Grant(trust.RoleChannel("main"), 2, trust.Key{Public: newKey(f.t).Public()}) }, bundle.Threshold},
		"a retired key": {func(f *fleet) {
			f.root.Grant(trust.RoleBundle, 1, trust.Key{Public: f.bundleKey.Public(), NotAfter: noon.Add(-time.Second)})
		}, bundle.KeyExpired},
		"a bundle for another channel": {func(f *fleet) {
			other := f.build("lab", "staging")
			f.sign(f.bundleKey, other.Descriptor)
			p := f.pointer(2)
			p.Stable = bundle.Target{Digest: other.Descriptor.Digest, Size: other.Descriptor.Size}
			f.point(p, f.channelKey)
		}, bundle.WrongChannel},
		"two contents under one number": {func(f *fleet) {
			p := f.pointer(1)
			one, err1 := f.channelKey.SignPointer(f.t.Context(), p)
			p.Modes = map[string]bool{"emergency": true}
			two, err2 := f.channelKey.SignPointer(f.t.Context(), p)
			if err := errors.Join(err1, err2); err != nil {
				f.t.Fatal(err)
			}
			p.Seq = 9 // a tag of its own
			f.carry(p, one, two)
		}, bundle.Equivocation},
		"a byte of a layer": {func(f *fleet) {
			f.store.Tamper(f.built.Blobs[0].Descriptor.Digest, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		}, bundle.WrongDigest},
		"no role for bundles": {func(f *fleet) { delete(f.root.Roles, trust.RoleBundle) }, bundle.WrongKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			tt.change(f)
			wantRefusal(t, f.inspect("channel-main").Err(), tt.want)
		})
	}
}

// What could not be looked at is no refusal: it may be different next time.
func TestAnInspectionTellsAbsentFromRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	i := f.inspect("channel-nowhere")
	if err := i.Err(); !errors.Is(err, bundle.ErrNotFound) || errors.As(err, new(*trust.Refusal)) {
		t.Error(err)
	}
	if got := came(i, trust.CheckManifest); !slices.Equal(got, []trust.State{trust.StateUnknown}) {
		t.Error(got)
	}
}

// TestAnInspectionLooksAtTheOrderOfModes that a pointer carries, as agents do.
func TestAnInspectionLooksAtTheOrderOfModes(t *testing.T) {
	t.Parallel()
	c := newCrisis(t)
	on, seq := map[string]bool{"failover": true}, int64(1)
	for name, want := range map[string]struct {
		order [][]byte
		came  []trust.State
		says  string
	}{
		"none":           {nil, nil, ""},
		"of two people":  {c.signed(c.order(4, on), c.ada, c.ben), []trust.State{trust.StateOK}, "failover ON"},
		"of one":         {c.signed(c.order(4, on), c.ada), []trust.State{trust.StateFailed}, "1 of at least 2"},
		"of no person":   {[][]byte{[]byte("{}")}, []trust.State{trust.StateFailed}, ""},
		"of the channel": {c.signed(c.order(4, on), c.channelKey), []trust.State{trust.StateFailed}, "not trusted"},
	} {
		seq++
		p := c.pointer(seq)
		p.Order = want.order
		c.point(p, c.channelKey)
		i := c.inspect("channel-main")
		if got := came(i, trust.CheckOrder); !slices.Equal(got, want.came) {
			t.Errorf("%s: %v, want %v", name, got, want.came)
		}
		at := slices.IndexFunc(i.Checks, func(c trust.Check) bool { return c.Name == trust.CheckOrder })
		if at >= 0 && !strings.Contains(i.Checks[at].Detail, want.says) {
			t.Errorf("%s: it says %q", name, i.Checks[at].Detail)
		}
	}
}
