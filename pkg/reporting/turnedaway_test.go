package reporting

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/report"
)

// TestTurnedAway shows a request that was refused as an event, and as a problem for an hour; what an operator mistyped is
// neither.
func TestTurnedAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	thief := audit.Caller{Name: "web-1", Address: "10.0.0.66"}
	for range 3 {
		r.Refused(thief, "POST /v1/checkin", "wrong-node", "the certificate is of web-1, the signature of web-2")
	}
	r.Refused(audit.Caller{Name: "joe"}, "POST /v1/tokens", "forbidden", "the role of this operator does not allow that")
	r.Refused(audit.Caller{Address: "10.0.0.7"}, "GET /v1/status", "unauthorized", "not signed in")
	r.Tick(t.Context())
	want := "wrong-node: the certificate is of web-1, the signature of web-2 (POST /v1/checkin from 10.0.0.66)"
	if p := r.status(t).Problems; len(p) != 1 || p[0].Kind != "request" || p[0].Node != "web-1" || p[0].Count != 3 || p[0].Text != want {
		t.Errorf("problems: %+v", p)
	}
	events, err := r.DB.Events(t.Context(), "", 10)
	must(t, err)
	if len(events) != 1 || events[0].Kind != "request.refused" || events[0].Text != want {
		t.Errorf("events: %+v", events)
	}
	r.pass(awayFor + time.Second)
	if st := r.status(t); slices.ContainsFunc(st.Problems, func(p report.Problem) bool { return p.Kind == "request" }) {
		t.Errorf("an hour later it is still a problem: %+v", st.Problems)
	}
}

// TestTurnedAwayAtLength shows that who asks from everywhere fills neither memory nor store.
func TestTurnedAwayAtLength(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 5 * maxAway {
		r.Refused(audit.Caller{Address: "10.0.0." + strconv.Itoa(i)}, "POST /v1/enroll", "token", strings.Repeat("x", 10_000))
	}
	r.Tick(t.Context())
	events, err := r.DB.Events(t.Context(), "", 10*maxAway)
	must(t, err)
	if n := r.status(t).ProblemCount; n != maxAway || len(events) != maxAway || len(events[0].Text) > maxEventText {
		t.Errorf("%d problems, %d events, the first of %d bytes", n, len(events), len(events[0].Text))
	}
}
