package reporting

import (
	"slices"
	"testing"
	"time"

	"vigo.dev/pkg/report"
)

// TestReplicasKeepTheOrder: while another service hands a notice over, what is behind it waits, so that people are not told that
// something is over before they are told that it began.
func TestReplicasKeepTheOrder(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	_, h := hooked(t, nil)
	d := h.service(t)
	p.a.UseReceivers(d)
	p.b.UseReceivers(d)
	must(t, p.a.PutAlertRules(t.Context(), []report.AlertRule{{Name: "failed", Event: report.EventFailed}}))
	p.a.join(t, "web-1")
	for i, counts := range []report.Counts{{Failed: 1}, {OK: 1}} {
		p.pass(time.Second)
		p.a.checkIn(t, report.CheckIn{Node: "web-1", Seq: int64(i + 1), Run: report.Summary{ID: string(rune('a' + i)), Started: p.Now(), Counts: counts}})
		must(t, p.a.Alert(t.Context()))
	}
	list, err := p.a.DB.Outbox(t.Context(), "pager", 10)
	must(t, err)
	if len(list) != 2 {
		t.Fatalf("%d notices wait", len(list))
	}
	mine, err := p.a.DB.Claim(t.Context(), list[0], p.Now().Add(claim)) // and a is killed
	must(t, err)
	if !mine {
		t.Fatal("nobody else has it")
	}
	if err := p.b.tellOne(t.Context(), "pager", list[0]); err == nil {
		t.Error("b takes what a hands over for delivered")
	}
	p.b.tellDue(t.Context(), "pager", map[string]bool{})
	is(t, h.kinds())
	p.pass(claim)
	p.b.tellDue(t.Context(), "pager", map[string]bool{})
	if got := h.kinds(); !slices.Equal(got, []string{"firing failed/web-1", "resolved failed/web-1"}) {
		t.Errorf("told %q", got)
	}
}
