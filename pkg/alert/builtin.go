package alert

import (
	"cmp"
	"time"

	"vigo.dev/pkg/report"
)

// BuiltIn are the rules of a repository that has none.
func BuiltIn() []report.AlertRule {
	rules := []report.AlertRule{
		{Event: report.EventStale, InhibitedBy: []string{report.EventDark}, For: 30 * time.Second,
			About: "These nodes are not heard of. Is the machine up, and does vigo-agent run there?"},
		{Event: report.EventDark, Severity: "critical", Leave: 2 * time.Minute, About: "This hub is not heard of, nor are the nodes behind it: look at its site."},
		{Event: report.EventSetAside, Severity: "critical", About: "These nodes refuse what they are shown; vigo node NAME says what and why."},
		{Event: report.EventFailed, For: 5 * time.Minute, About: "The runs of these nodes fail; vigo node NAME says where."},
		{Event: report.EventFrozen, For: 5 * time.Minute, About: "Something shows old pointers: a mirror that stands still, or somebody between."},
		{Event: report.EventForked, Severity: "critical", About: "Somebody publishes pointers that this service was not told of."},
		{Event: report.EventChannel, For: 2 * time.Minute, About: "What is merged is not published; vigo status says why."},
		{Event: report.EventRolloutAborted, About: "A rollout ended badly: the channel does not run what is in git. vigo rollout status says why, and a commit that mends it begins the next."},
		{Event: report.EventRolloutPaused, About: "A rollout stands still until somebody has looked: vigo rollout status says why; vigo rollout resume or abort."},
		{Event: report.EventRolloutApproval, Severity: "info", About: "A rollout waits for somebody to agree: vigo rollout approve."},
		{Event: report.EventExpiring, About: "These certificates are not renewed; the nodes will be shut out."},
		{Event: report.EventReboot, About: "These nodes are not back from their reboot, and others wait for their places; vigo reboot says why."},
		{Event: report.EventExcess, About: "These nodes report without an end: their own history is forgotten early, and the service has to write it all. Which resource changes with each run? vigo history NODE."},
		{Event: report.EventDisk, For: 5 * time.Minute, About: "A filesystem of these nodes is full."},
	}
	for i, r := range rules {
		usual := report.NewAlertRule(r.Event, r.Event)
		usual.About, usual.For, usual.InhibitedBy = r.About, r.For, r.InhibitedBy
		usual.Severity, usual.Leave = cmp.Or(r.Severity, usual.Severity), cmp.Or(r.Leave, usual.Leave)
		rules[i] = usual
	}
	return rules
}
