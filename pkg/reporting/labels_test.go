package reporting

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// nodesOf are the names of the nodes that have a label.
func (r *rig) nodesOf(t *testing.T, label, value string) []string {
	t.Helper()
	list, err := r.Nodes(t.Context(), report.Query{Labels: map[string]string{label: value}})
	must(t, err)
	names := []string{}
	for _, n := range list {
		names = append(names, n.Name)
	}
	return names
}

// TestLabelsOfThePolicy: labels that fleet.yaml gives to nodes are theirs for whoever asks, beside those of their tokens: in lists,
// inventory, maintenances, alerts. They are so after a restart, follow the policy, and hold in the channels of its branch alone.
func TestLabelsOfThePolicy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, channel := range map[string]string{"db-1": "", "db-2": "", "web-1": "", "db-9": "other"} {
		key, err := identity.NewNodeKey()
		must(t, err)
		_, err = r.enroll(t, key, r.tokenFor(t, api.TokenRequest{Uses: 1, Channel: channel, Labels: map[string]string{"role": "web", "rack": "7"}}), name)
		must(t, err)
		r.checkIn(t, report.CheckIn{Node: name})
	}
	if _, err := r.Inventory(t.Context(), report.Question{Where: `tier == "data"`}); err == nil {
		t.Error("a label that nobody has is known")
	}
	told := []report.Grants{
		{Channels: []string{"stable"}, Grants: []report.LabelGrant{
			{Match: "db-*", Labels: map[string]string{"role": "db", "tier": "data"}}, {Match: "db-2", Labels: map[string]string{"tier": "spare"}}}},
		{Channels: []string{"staging"}, Grants: []report.LabelGrant{{Match: "*", Labels: map[string]string{"role": "wrong"}}}},
	}
	must(t, r.PutGrants(t.Context(), told))
	check := func(when string) {
		t.Helper()
		if got := r.nodesOf(t, "role", "db"); !slices.Equal(got, []string{"db-1", "db-2"}) {
			t.Errorf("%s: of the role db are %v", when, got)
		}
		if got := r.node(t, "db-2").Labels; !maps.Equal(got, map[string]string{"role": "db", "tier": "spare", "rack": "7"}) {
			t.Errorf("%s: db-2 has %v", when, got)
		}
		if got := r.node(t, "db-9").Labels["role"]; got != "web" {
			t.Errorf("%s: db-9, of another channel, has the role %s", when, got)
		}
		found, err := r.Inventory(t.Context(), report.Question{Where: `tier == "data" && rack == "7"`})
		if err != nil || len(found.Nodes) != 1 || found.Nodes[0].Node != "db-1" {
			t.Errorf("%s: the inventory finds %+v, %v", when, found.Nodes, err)
		}
	}
	check("told")
	r.restart(t, time.Second)
	check("after a restart")
	list, err := r.BeginMaintenance(t.Context(), report.Maintenance{Where: `role == "db"`, Reason: "disks", By: "jane", Until: r.Now().Add(time.Hour)})
	must(t, err)
	if r.node(t, "db-1").Maintenance == nil || r.node(t, "web-1").Maintenance != nil {
		t.Errorf("the maintenance %s covers others", list.ID)
	}
	recipients, err := r.Recipients(t.Context())
	must(t, err)
	if recipients[0].Node != "db-1" || recipients[0].Labels["role"] != "web" {
		t.Errorf("controllers are told of %+v: not what the token granted", recipients[0])
	}
	must(t, r.PutGrants(t.Context(), nil))
	if got := r.nodesOf(t, "role", "web"); len(got) != 4 {
		t.Errorf("without grants, of the role web are %v", got)
	}
}

// TestAlertsSeeLabelsOfThePolicy: a rule about a role finds the nodes that have it by the policy.
func TestAlertsSeeLabelsOfThePolicy(t *testing.T) {
	t.Parallel()
	r, _ := hooked(t, nil)
	rule := report.NewAlertRule("failed", report.EventFailed)
	rule.Where = `tier == "data"`
	r.join(t, "db-1")
	must(t, r.PutGrants(t.Context(), []report.Grants{{Channels: []string{"stable"}, Grants: []report.LabelGrant{{Match: "db-*", Labels: map[string]string{"tier": "data"}}}}}))
	r.rules(t, rule)
	r.fail(t, "db-1", 1)
	r.alertUntil(t, r.Now().Add(time.Minute))
	list, err := r.ListAlerts(t.Context())
	must(t, err)
	if len(list.Alerts) != 1 || list.Alerts[0].Rule != "failed" {
		t.Errorf("alerts: %+v", list.Alerts)
	}
}

// TestGrantsAreBounded: what no policy can say is refused, and what was there stays.
func TestGrantsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	many := report.Grants{Channels: []string{"stable"}}
	for i := range report.MaxGrants {
		many.Grants = append(many.Grants, report.LabelGrant{Match: fmt.Sprint("n-", i)})
	}
	for _, told := range []report.Grants{many, {Channels: []string{"stable"}, Grants: []report.LabelGrant{{Match: "["}}}} {
		if err := r.PutGrants(t.Context(), []report.Grants{told}); fault.CodeOf(err) == fault.OK {
			t.Errorf("%d grants, the first %+v, are taken", len(told.Grants), told.Grants[0])
		}
	}
}

// TestRulesOfPresenceSaySinceWhen: a rule without an event that asks for silent nodes tells since when they are, and not what
// failed in their last run.
func TestRulesOfPresenceSaySinceWhen(t *testing.T) {
	t.Parallel()
	r, _ := hooked(t, nil)
	rule := report.NewAlertRule("gone", "")
	rule.Presence = []report.Presence{report.Stale}
	r.rules(t, rule)
	r.join(t, "web-1")
	r.fail(t, "web-1", 1)
	r.alertUntil(t, r.Now().Add(4*half))
	list, err := r.ListAlerts(t.Context())
	must(t, err)
	if len(list.Alerts) != 1 || len(list.Alerts[0].Findings) != 1 || !strings.HasPrefix(list.Alerts[0].Findings[0].Text, "last seen 2026-11-25T12:00:00Z") {
		t.Errorf("alerts: %+v", list.Alerts)
	}
}
