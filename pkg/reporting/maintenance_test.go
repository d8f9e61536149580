package reporting

import (
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/report"
)

// maintained gives a rig two web servers, one behind a hub, and rules that tell after a minute.
func maintained(t *testing.T) (*rig, *pager) {
	t.Helper()
	r, h := hooked(t, nil)
	stale := report.NewAlertRule("stale", report.EventStale)
	stale.For = time.Minute
	r.rules(t, stale, report.NewAlertRule("hub", report.EventDark), report.NewAlertRule("failed", report.EventFailed))
	r.join(t, "web-1")
	r.join(t, "web-2")
	r.hub(t, "ams")
	r.checkIn(t, report.CheckIn{Node: "web-1"})
	r.checkIn(t, report.CheckIn{Node: "web-2", Hub: "ams"})
	r.hubReport(t, "ams")
	return r, h
}

func (r *rig) begin(t *testing.T, m report.Maintenance) report.Maintenance {
	t.Helper()
	m.Reason, m.By = "new disks", "jane"
	m, err := r.BeginMaintenance(t.Context(), m)
	must(t, err)
	return m
}

// TestMaintenance: what is silent during a maintenance is told to nobody and is no problem, is marked, and is told after its end if
// it is still so, after the time its rule waits for. Over a restart, too.
func TestMaintenance(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]report.Maintenance{
		"by name":  {Nodes: []string{"web-*", "ams"}},
		"by label": {Where: `role == "web" || node == "ams"`},
		"by hub":   {Nodes: []string{"web-1", "ams"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, h := maintained(t)
			m.Until = noon.Add(30 * time.Minute)
			r.begin(t, m)
			r.alertUntil(t, noon.Add(10*time.Minute))
			r.restart(t, 0)
			r.alertUntil(t, noon.Add(30*time.Minute-time.Second))
			st := r.status(t)
			if len(st.Problems) > 0 || len(st.Maintenance) != 1 || st.Maintenance[0].Covers != 3 || st.Maintenance[0].Silent != 3 || st.Presences.Stale != 2 {
				t.Errorf("problems %+v, maintenance %+v, %+v", st.Problems, st.Maintenance, st.Presences)
			}
			if got := r.node(t, "web-2").Maintenance; got == nil || got.By != "jane" || got.Reason != "new disks" {
				t.Errorf("web-2 is marked %+v", got)
			}
			is(t, h.kinds())
			r.alertUntil(t, noon.Add(31*time.Minute+2*time.Second))
			is(t, h.kinds(), "firing hub/ams", "firing stale/web-1")
			if st := r.status(t); len(st.Problems) != 2 || len(st.Maintenance) > 0 {
				t.Errorf("afterwards: problems %+v, maintenance %+v", st.Problems, st.Maintenance)
			}
		})
	}
}

// TestMaintenanceLater begins when it says, and not before; what was told before stays open, and is over when it is.
func TestMaintenanceLater(t *testing.T) {
	t.Parallel()
	r, h := maintained(t)
	r.begin(t, report.Maintenance{Nodes: []string{"web-1"}, From: noon.Add(10 * time.Minute), Until: noon.Add(10 * time.Hour)})
	r.begin(t, report.Maintenance{Nodes: []string{"web-2", "ams"}, Until: noon.Add(20 * time.Hour)})
	r.alertUntil(t, noon.Add(9*time.Minute))
	is(t, h.kinds(), "firing stale/web-1")
	r.alertUntil(t, noon.Add(11*time.Minute))
	r.alerts.next = time.Time{}
	r.pass(8 * time.Hour) // reminders are due every four hours
	r.alertUntil(t, r.Now().Add(time.Second))
	r.checkIn(t, report.CheckIn{Node: "web-1"})
	r.alertUntil(t, r.Now().Add(2*time.Second))
	is(t, h.kinds(), "firing stale/web-1", "resolved stale/web-1")
}

// TestMaintenanceIsBounded: each has nodes, a reason and an end; a condition looks at labels alone; who began and ended it is in the
// audit log.
func TestMaintenanceIsBounded(t *testing.T) {
	t.Parallel()
	r, _ := maintained(t)
	hour := noon.Add(time.Hour)
	for what, m := range map[string]report.Maintenance{
		"no reason": {Nodes: []string{"*"}, Until: hour}, "no end": {Nodes: []string{"*"}, Reason: "x"}, "of nothing": {Reason: "x", Until: hour},
		"too long": {Nodes: []string{"*"}, Reason: "x", Until: noon.AddDate(1, 0, 0)}, "no pattern": {Nodes: []string{"["}, Reason: "x", Until: hour},
		"no label": {Where: `rolle == "web"`, Reason: "x", Until: hour}, "ends first": {Nodes: []string{"*"}, Reason: "x", From: hour, Until: noon.Add(time.Minute)},
		"no condition": {Where: "role ==", Reason: "x", Until: hour},
	} {
		_, err := r.BeginMaintenance(t.Context(), m)
		refusedAs(t, what, err, api.ErrBadRequest)
	}
	m := r.begin(t, report.Maintenance{Nodes: []string{"web-1"}, Until: hour})
	must(t, r.EndMaintenance(t.Context(), m.ID))
	refusedAs(t, "ended already", r.EndMaintenance(t.Context(), m.ID), api.ErrNotFound)
	var acts []string
	page, err := r.Audit(t.Context(), audit.Query{Limit: 10})
	must(t, err)
	for _, e := range page.Entries {
		if strings.HasPrefix(e.Act, "maintenance.") {
			acts = append(acts, e.Act+" "+e.Object+" "+e.Detail["reason"])
		}
	}
	slices.Sort(acts)
	if !slices.Equal(acts, []string{"maintenance.begun " + m.ID + " new disks", "maintenance.ended " + m.ID + " "}) {
		t.Errorf("audit %q", acts)
	}
}

// TestReplicasKnowMaintenance: one that is begun at a service holds at the others on the database.
func TestReplicasKnowMaintenance(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.a.join(t, "web-1")
	p.a.checkIn(t, report.CheckIn{Node: "web-1", Seq: 1})
	m := p.b.begin(t, report.Maintenance{Nodes: []string{"web-1"}, Until: noon.Add(time.Hour)})
	must(t, p.a.Refresh(t.Context()))
	if got := p.a.node(t, "web-1").Maintenance; got == nil || got.ID != m.ID {
		t.Errorf("a marks it %+v", got)
	}
	must(t, p.a.EndMaintenance(t.Context(), m.ID))
	must(t, p.b.Refresh(t.Context()))
	if got := p.b.node(t, "web-1").Maintenance; got != nil {
		t.Errorf("b still marks it %+v", got)
	}
}
