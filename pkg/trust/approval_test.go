package trust_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

// panel is a fleet whose channel main asks for the approval of two of three people.
type panel struct {
	*fleet
	ada, ben, cleo *trust.Signer
}

func newPanel(t *testing.T) *panel {
	t.Helper()
	p := &panel{newFleet(t), newKey(t), newKey(t), newKey(t)}
	for _, key := range []*trust.Signer{p.ada, p.ben, p.cleo} {
		p.root.Grant(trust.RoleApproval("main"), 2, trust.Key{Public: key.Public()})
	}
	if err := p.root.Validate(); err != nil {
		t.Fatal(err)
	}
	return p
}

// request asks for the bundle of the fleet.
func (p *panel) request() trust.Request {
	return trust.Request{
		Fleet: "lab", Channel: "main", Bundle: bundle.Target{Digest: p.built.Descriptor.Digest, Size: p.built.Descriptor.Size, Commit: "abc"},
		From: trust.Base{Epoch: 3, Seq: 1, Digest: bundle.DigestOf([]byte("old"))}, Requested: noon, Note: "the release of <today> & tomorrow",
	}
}

func (p *panel) approve(r trust.Request, by ...*trust.Signer) {
	p.t.Helper()
	for _, key := range by {
		approval, err := key.Approve(p.t.Context(), r)
		if err == nil {
			// To what it is attached is not what it is about.
			err = trust.AttachApproval(p.t.Context(), p.store, p.request(), approval, noon)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *panel) approved() (trust.Approval, error) {
	p.t.Helper()
	return trust.NewVerifier(p.root, clock).Approved(p.t.Context(), p.store, p.built.Descriptor, "lab", "main")
}

func TestTwoPeopleApprove(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	_, err := p.approved()
	wantRefusal(t, err, bundle.Approvals)
	p.approve(p.request(), p.ada)
	_, err = p.approved()
	wantRefusal(t, err, bundle.Approvals)
	p.approve(p.request(), p.cleo)
	got, err := p.approved()
	if err != nil {
		t.Fatal(err)
	}
	payload, err := p.request().Payload()
	if err != nil {
		t.Fatal(err)
	}
	want := trust.Approval{Request: p.request(), Payload: bundle.DigestOf(payload), Keys: []string{p.ada.Public().ID(), p.cleo.Public().ID()}}
	slices.Sort(want.Keys)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAChannelThatAsksNobodyNeedsNoApproval(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	a, err := trust.NewVerifier(f.root, clock).Approved(t.Context(), f.store, f.built.Descriptor, "lab", "main")
	if err != nil || a.Keys != nil {
		t.Errorf("%+v, %v", a, err)
	}
}

// Ben has approved what was asked for; what else there is does not make him two.
func TestWhatIsNoSecondApproval(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		second func(p *panel)
		says   string
	}{
		"the same person twice":   {func(p *panel) { p.approve(p.request(), p.ben) }, ""},
		"a stranger":              {func(p *panel) { p.approve(p.request(), newKey(p.t)) }, "not trusted"},
		"the key of the channel":  {func(p *panel) { p.approve(p.request(), p.channelKey) }, "not trusted"},
		"the key of bundles":      {func(p *panel) { p.approve(p.request(), p.bundleKey) }, "not trusted"},
		"for another channel":     {func(p *panel) { r := p.request(); r.Channel = "staging"; p.approve(r, p.ada) }, `for channel "staging"`},
		"for another fleet":       {func(p *panel) { r := p.request(); r.Fleet = "factory"; p.approve(r, p.ada) }, `for fleet "factory"`},
		"of another request":      {func(p *panel) { r := p.request(); r.Note = "something else"; p.approve(r, p.ada) }, ""},
		"a signature as a bundle": {func(p *panel) { p.sign(p.ada, p.built.Descriptor) }, ""},
		"a pointer": {func(p *panel) {
			sig, err := p.ada.SignPointer(p.t.Context(), p.pointer(2))
			if err != nil {
				p.t.Fatal(err)
			}
			p.attach(p.built.Descriptor, sig)
		}, ""},
		"for another bundle": {func(p *panel) {
			r := p.request()
			r.Bundle.Digest = bundle.DigestOf([]byte("evil"))
			p.approve(r, p.ada)
		}, "does not verify"},
		"with a key that has run out": {func(p *panel) {
			p.root.Grant(trust.RoleApproval("main"), 2, trust.Key{Public: p.ada.Public(), NotAfter: noon.Add(-time.Second)})
			p.approve(p.request(), p.ada)
		}, "was retired on"},
		"with a key that was removed": {func(p *panel) {
			p.approve(p.request(), p.ada)
			p.root.Withdraw(trust.RoleApproval("main"), p.ada.Public().ID())
		}, "not trusted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPanel(t)
			p.approve(p.request(), p.ben)
			tt.second(p)
			_, err := p.approved()
			wantRefusal(t, err, bundle.Approvals)
			if says := "1 of at least 2 people have approved it"; !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v does not say %q and %q", err, says, tt.says)
			}
		})
	}
}

// Nor do approvals make anything else: a bundle that people have approved is not signed by that.
func TestApprovalsAreNoSignatures(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	p.built = p.build("lab", "main", "unsigned")
	p.approve(p.request(), p.ada, p.ben)
	wantRefusal(t, p.bundleOf(p.built.Descriptor), bundle.Predicate)
	if _, err := p.approved(); err != nil {
		t.Error(err)
	}
	approval, err := p.bundleKey.Approve(t.Context(), p.request())
	if err != nil {
		t.Fatal(err)
	}
	p.attach(p.built.Descriptor, approval)
	wantRefusal(t, p.bundleOf(p.built.Descriptor), bundle.Predicate)
	approval, err = p.channelKey.Approve(t.Context(), p.request())
	if err != nil {
		t.Fatal(err)
	}
	p.carry(p.pointer(2), approval)
	_, _, err = p.newest()
	wantRefusal(t, err, bundle.Predicate)
}

// A channel key that was stolen cannot bring back what people have moved on from.
func TestAnApprovalFromBeforeIsRefused(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	p.approve(p.request(), p.ada, p.ben) // asked for at 3.1
	a, err := p.approved()
	if err != nil {
		t.Fatal(err)
	}
	for _, last := range []trust.Base{{}, {Epoch: 2, Seq: 1 << 60}, {Epoch: 3, Seq: 1}} {
		if err := a.After(last); err != nil {
			t.Errorf("after %s: %v", last.Version(), err)
		}
	}
	wantRefusal(t, a.After(trust.Base{Epoch: 3, Seq: 2}), bundle.Approvals)

	again := p.request()
	again.From.Seq, again.Requested = 7, noon.Add(time.Hour) // it is wanted back
	p.approve(again, p.ben, p.cleo)
	if a, err = p.approved(); err != nil || a.Request.From.Seq != 7 || a.After(trust.Base{Epoch: 3, Seq: 2}) != nil {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestAnApprovalThatCannotBeFetchedIsNoRefusal(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	down := errors.New("no route to host")
	p.store.Fail(down)
	if _, err := p.approved(); !errors.Is(err, down) || errors.As(err, new(*trust.Refusal)) {
		t.Error(err)
	}
}

func TestARequestIsReadAsItWasAsked(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	ctx := t.Context()
	if _, _, err := trust.OpenRequest(ctx, p.store, "lab", "main"); !errors.Is(err, bundle.ErrNotFound) {
		t.Error(err)
	}
	if err := trust.PublishRequest(ctx, p.store, p.request()); err != nil {
		t.Fatal(err)
	}
	got, _, err := trust.OpenRequest(ctx, p.store, "lab", "main")
	if diff := cmp.Diff(p.request(), got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	_, _, err = trust.OpenRequest(ctx, p.store, "factory", "main")
	wantRefusal(t, err, bundle.WrongFleet)
	d, err := p.store.Resolve(ctx, trust.PromotionTag("main"))
	if err == nil {
		err = p.store.Tag(ctx, d, trust.PromotionTag("staging"))
	}
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = trust.OpenRequest(ctx, p.store, "lab", "staging")
	wantRefusal(t, err, bundle.WrongChannel)
	for name, change := range map[string]func(*trust.Request){
		"no fleet":         func(r *trust.Request) { r.Fleet = "" },
		"no bundle":        func(r *trust.Request) { r.Bundle.Digest = "sha256:x" },
		"no size":          func(r *trust.Request) { r.Bundle.Size = 0 },
		"an odd base":      func(r *trust.Request) { r.From.Seq = 0 },
		"an odder base":    func(r *trust.Request) { r.From.Digest = "" },
		"a long note":      func(r *trust.Request) { r.Note = strings.Repeat("x", 2<<10) },
		"no time of day":   func(r *trust.Request) { r.Requested = time.Time{} },
		"a negative epoch": func(r *trust.Request) { r.From.Epoch = -1 },
	} {
		r := p.request()
		change(&r)
		if _, err := p.ada.Approve(ctx, r); err == nil {
			t.Errorf("%s: it was signed", name)
		}
	}
}

// One key that could do both would be one thief instead of two.
func TestWhoApprovesDoesNotPublish(t *testing.T) {
	t.Parallel()
	for _, role := range []string{trust.RoleBundle, trust.RoleChannel("main"), trust.RoleAnyChannel} {
		p := newPanel(t)
		p.root.Grant(role, 1, trust.Key{Public: p.ada.Public()})
		wantRefusal(t, p.root.Validate(), bundle.BadFormat)
	}
}

func TestAnInspectionShowsWhoApproved(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	p.approve(p.request(), p.ada, p.ada)
	wantRefusal(t, p.inspect("channel-main").Err(), bundle.Approvals)
	p.approve(p.request(), p.ben)
	i := p.inspect("channel-main")
	if err := i.Err(); err != nil {
		t.Fatal(err)
	}
	if got, want := came(i, trust.CheckApproval), []trust.State{trust.StateOK, trust.StateIgnored, trust.StateOK}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
