package policytest

import (
	"testing"

	"vigo.dev/pkg/report"
)

// FuzzAlertTest: whatever a test of alerts holds, it is played or refused, and what is refused says where.
func FuzzAlertTest(f *testing.F) {
	for _, text := range []string{
		"kind: AlertTest\ngiven: {nodes: {a-1..3: {presence: stale, labels: {role: web}}}}\ntimeline: [{at: 1m, mute: {of: a, last: 1h}}]\nexpect: [{at: 2m, firing: silent/a-1, of: [a]}]",
		"kind: AlertTest\ngiven: &a {nodes: {a: {traits: {os: {family: x}}}}}\ntimeline: [*a]\nexpect: []\nuntil: 5m", "kind: AlertTest\nexpect: {}", "[]", "a: [", "",
	} {
		f.Add([]byte(text))
	}
	silent := report.NewAlertRule("silent", report.EventStale)
	f.Fuzz(func(t *testing.T, data []byte) {
		test, problems := readAlertTest("alerts/tests/x.yaml", data, []report.AlertRule{silent})
		if len(problems) == 0 && test.Until < 1<<40 {
			problems = playAlerts("alerts/tests/x.yaml", test, []report.AlertRule{silent}, nil)
		}
		for _, p := range problems {
			if p.Pos.File == "" || p.Msg == "" {
				t.Errorf("%+v", p)
			}
		}
	})
}
