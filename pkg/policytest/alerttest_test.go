package policytest_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/policytest"
)

// alertRepo has rules of each sort, and tests by file name.
func alertRepo(tests map[string]string) fstest.MapFS {
	repo := fstest.MapFS{
		"fleet.yaml":           {Data: []byte("kind: Fleet\nname: acme\nlabels: [role, site]\nchannels: {stable: {nodes: role != \"trial\"}, canary: {nodes: role == \"trial\"}}\n")},
		"alerts/silent.yaml":   {Data: []byte("kind: Alert\nevent: node.stale\nfor: 2m\nleave: 2m\nnotify: [pager]\n")},
		"alerts/hub.yaml":      {Data: []byte("kind: Alert\nevent: hub.dark\n")},
		"alerts/failed.yaml":   {Data: []byte("kind: Alert\nevent: node.failed\nruns: 3\nwhere: role == \"web\"\ngroup_by: [site]\nrepeat: 1h\n")},
		"alerts/comply.yaml":   {Data: []byte("kind: Alert\nevent: compliance.threshold\nmin: 90\nfor: 1m\n")},
		"alerts/cert.yaml":     {Data: []byte("kind: Alert\nevent: certificate.expiring\nwithin: 12h\n")},
		"alerts/old.yaml":      {Data: []byte("kind: Alert\nevent: pointer.frozen\n")},
		"alerts/broken.yaml":   {Data: []byte("kind: Alert\nevent: channel.error\nfor: 1m\nrepeat: 0s\n")},
		"alerts/stands.yaml":   {Data: []byte("kind: Alert\nevent: rollout.paused\n")},
		"alerts/asks.yaml":     {Data: []byte("kind: Alert\nevent: rollout.waiting-approval\nchannel: canary\n")},
		"alerts/done.yaml":     {Data: []byte("kind: Alert\nevent: rollout.completed\n")},
		"alerts/refuses.yaml":  {Data: []byte("kind: Alert\nevent: node.quarantine\n")},
		"alerts/flaky.yaml":    {Data: []byte("kind: Alert\nevent: node.failed\nruns: 5\ngroup_by: [channel]\nquarantine: {most: 10, notify: [hook]}\n")},
		"alerts/old-os.yaml":   {Data: []byte("kind: Alert\nwhere: os.family == \"redhat\"\n")},
		"alerts/tests/note.md": {Data: []byte("not a test")},
	}
	for name, text := range tests {
		repo["alerts/tests/"+name+".yaml"] = &fstest.MapFile{Data: []byte("kind: AlertTest\n" + text)}
	}
	return repo
}

func runAlerts(t testing.TB, tests map[string]string) map[string][]string {
	t.Helper()
	repo, l := alertRepo(tests), language()
	p, _, err := policy.Read(repo, l.Check)
	if err != nil {
		t.Fatal(err)
	}
	results, err := policytest.RunAlerts(l, p, repo)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, r := range results {
		got[strings.TrimSuffix(strings.TrimPrefix(r.File, "alerts/tests/"), ".yaml")] = r.Failures
	}
	return got
}

// TestAlertTestsPass: what a rule says is what is told, to the second: for, leave, repeat, groups, what explains it, mutes,
// maintenance and every sort of event.
func TestAlertTestsPass(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"for":                "given: {nodes: {a: {}}}\ntimeline: [{at: 10s, nodes: {a: {presence: stale}}}]\nexpect: [{at: 2m10s, firing: silent/a, count: 1, of: [a], notify: [pager]}]",
		"not long":           "given: {nodes: {a: {}}}\ntimeline: [{at: 10s, nodes: {a: {presence: stale}}}, {at: 2m9s, nodes: {a: {presence: late}}}]\nexpect: []",
		"leave":              "given: {nodes: {a: {presence: missing}}}\ntimeline: [{at: 5m, nodes: {a: {presence: live}}}]\nexpect: [{at: 2m, firing: silent/a}, {at: 7m, resolved: silent/a}]",
		"repeat":             "given: {nodes: {a: {labels: {role: web, site: ams}, compliance: failed, failing: 3}}}\nexpect: [{at: 0s, firing: failed/site=ams}, {at: 1h, repeat: failed/site=ams}, {at: 2h, repeat: failed/site=ams}]\nuntil: 2h30m\nrules: [failed]",
		"runs":               "rules: [failed]\ngiven: {nodes: {a: {labels: {role: web}}}}\ntimeline: [{at: 1m, nodes: {a: {compliance: failed}}}, {at: 2m, nodes: {a: {failing: 2}}}, {at: 3m, nodes: {a: {failing: 3}}}]\nexpect: [{at: 3m, firing: failed/site=none}]\nuntil: 4m",
		"grown":              "rules: [failed]\ngiven: {nodes: {a-1..3: {labels: {role: web, site: ams}}}}\ntimeline: [{at: 1m, nodes: {a-1: {compliance: failed, failing: 3}}}, {at: 2m, nodes: {a-2..3: {compliance: failed, failing: 9}}}]\nexpect: [{at: 1m, firing: failed/site=ams}, {at: 6m, grown: failed/site=ams, count: 3, of: [a-1, a-2, a-3]}]\nuntil: 30m",
		"explained":          "given: {nodes: {a: {hub: h, presence: stale}}, hubs: {h: {presence: stale}}}\ntimeline: [{at: 10m, hubs: {h: {presence: live}}}]\nexpect: [{at: 0s, firing: hub/h}, {at: 9m, inhibited: silent/a, by: hub/h}, {at: 11m, resolved: hub/h}, {at: 11m, firing: silent/a}]\nuntil: 12m",
		"mute":               "given: {nodes: {a: {presence: stale}}, mute: {of: 'a*', last: 1h}}\nexpect: [{at: 5m, muted: silent/a}, {at: 1h, firing: silent/a}]\nuntil: 61m",
		"comply":             "rules: [comply]\ngiven: {nodes: {a-1..100: {}}}\ntimeline: [{at: 0s, nodes: {a-1..10: {compliance: drift}}}, {at: 1m, nodes: {a-11: {compliance: failed}}}]\nexpect: [{at: 2m, firing: comply/fleet}]\nuntil: 3m",
		"cert":               "given: {nodes: {a: {certificate: 24h}}}\nexpect: [{at: 12h0m1s, firing: cert/a}]\nuntil: 13h",
		"old":                "given: {nodes: {a: {pointer: frozen}}, channels: {stable: {expired: true}}}\nexpect: [{at: 0s, firing: old/a}, {at: 0s, firing: old/channel stable}]\nuntil: 1m",
		"broken":             "given: {channels: {stable: {error: no}}}\ntimeline: [{at: 5m, channels: {stable: {error: ''}}}]\nexpect: [{at: 1m, firing: broken/channel stable}, {at: 6m, resolved: broken/channel stable}]",
		"rollout paused":     "rules: [stands]\ngiven: {channels: {stable: {rollout: running}}}\ntimeline: [{at: 1m, channels: {stable: {rollout: paused}}}, {at: 5m, channels: {stable: {rollout: running}}}]\nexpect: [{at: 1m, firing: stands/channel stable}, {at: 6m, resolved: stands/channel stable}]",
		"rollout asks":       "rules: [asks]\ngiven: {channels: {stable: {rollout: waiting-approval}, canary: {rollout: waiting-approval}}}\nexpect: [{at: 0s, firing: asks/channel canary}]\nuntil: 1h",
		"rollout done":       "rules: [done]\ngiven: {channels: {stable: {rollout: running}}}\ntimeline: [{at: 1h, channels: {stable: {rollout: completed}}}]\nexpect: [{at: 1h, firing: done/channel stable}, {at: 71m, resolved: done/channel stable}]\nuntil: 2h",
		"refuses":            "given: {nodes: {a: {refuses: rollback}}}\nexpect: [{at: 0s, firing: refuses/a}]\nuntil: 1m",
		"old os":             "given: {nodes: {a: {traits: {os: {family: redhat}}}, b: {traits: {os: {family: debian}}}}}\nexpect: [{at: 0s, firing: old-os/a}]\nuntil: 1m",
		"quarantine":         "rules: [flaky]\ngiven: {nodes: {a-1..10: {}}}\ntimeline: [{at: 1m, nodes: {a-1..2: {compliance: failed, failing: 5}}}, {at: 9m, nodes: {a-1: {compliance: ok}}}]\nexpect: [{at: 1m, firing: flaky/channel=stable}, {at: 1m, quarantined: a-1, notify: [hook]}, {at: 10m, released: a-1}, {at: 10m, quarantined: a-2}]\nuntil: 20m",
		"maintained hub":     "given: {nodes: {a: {hub: h, presence: stale}}, hubs: {h: {presence: stale, maintenance: true}}}\ntimeline: [{at: 1h, hubs: {h: {maintenance: false, presence: live}}, nodes: {a: {presence: live}}}]\nexpect: []",
		"before maintenance": "given: {nodes: {a: {presence: stale}}}\ntimeline: [{at: 1h, nodes: {a: {maintenance: true}}}, {at: 9h, nodes: {a: {presence: live}}}]\nexpect: [{at: 2m, firing: silent/a}, {at: 8h, muted: silent/a}, {at: 9h2m, resolved: silent/a}]",
		"maintenance":        "given: {nodes: {a: {presence: stale, maintenance: true}}}\ntimeline: [{at: 1h, nodes: {a: {maintenance: false}}}]\nexpect: [{at: 1h2m, firing: silent/a}]\nuntil: 63m",
	}
	for name, failures := range runAlerts(t, tests) {
		if len(failures) > 0 {
			t.Errorf("%s: %q", name, failures)
		}
	}
}

// TestAlertTestsFail: what differs is told with file, line and what was told in its place.
func TestAlertTestsFail(t *testing.T) {
	t.Parallel()
	stale := "about: x\ngiven: {nodes: {a: {presence: stale}}}\n"
	want := map[string][]string{
		"late":     {"alerts/tests/late.yaml:5: want at 1m0s: firing silent/a; it was told: firing at 2m0s", "alerts/tests/late.yaml: nobody expects, at 2m0s: firing silent/a"},
		"nothing":  {"alerts/tests/nothing.yaml: nobody expects, at 2m0s: firing silent/a"},
		"who":      {"alerts/tests/who.yaml:4: firing silent/a: want 2 found, got 1", "alerts/tests/who.yaml:4: firing silent/a: want b, got a", "alerts/tests/who.yaml:4: firing silent/a: want mail to be told, got pager"},
		"rule":     {`alerts/tests/rule.yaml:4: there is no rule "silnt" in alerts (did you mean "silent"?)`},
		"key":      {`alerts/tests/key.yaml:3: "presense" is not known here (did you mean "presence"?)`},
		"word":     {`alerts/tests/word.yaml: a: presence: "stael" is not one of [live late stale missing never]`},
		"quiet":    {"alerts/tests/quiet.yaml:4: at 5m0s silent/a is not inhibited", "alerts/tests/quiet.yaml: nobody expects, at 2m0s: firing silent/a"},
		"time":     {"alerts/tests/time.yaml:3: cannot unmarshal !!str `soon` into time.Duration"},
		"empty":    {`alerts/tests/empty.yaml:1: the test expects nothing (expect: [] is that nobody is told anything)`},
		"no yaml":  {"alerts/tests/no yaml.yaml:3: did not find expected node content"},
		"two":      {"alerts/tests/two.yaml:4: an expectation names one of firing, grown, repeat, resolved, inhibited, muted, quarantined and released (firing: RULE/NODE)"},
		"backward": {"alerts/tests/backward.yaml:2: the timeline goes back, to 1m0s"},
	}
	got := runAlerts(t, map[string]string{
		"late":     stale + "expect:\n  - {at: 1m, firing: silent/a}\nuntil: 3m",
		"nothing":  stale + "expect: []",
		"who":      stale + "expect: [{at: 2m, firing: silent/a, count: 2, of: [b], notify: [mail]}]",
		"rule":     stale + "expect: [{at: 2m, firing: silnt/a}]",
		"key":      "about: x\ngiven: {nodes: {a: {presense: stale}}}\nexpect: []",
		"word":     "given: {nodes: {a: {presence: stael}}}\nexpect: []",
		"quiet":    stale + "expect: [{at: 5m, inhibited: silent/a}]",
		"time":     "about: x\nuntil: soon\nexpect: []",
		"empty":    "about: x",
		"no yaml":  "about: x\ngiven: {nodes: {a: {\n",
		"two":      stale + "expect: [{at: 5m, firing: silent/a, resolved: silent/a}]",
		"backward": "timeline: [{at: 2m}, {at: 1m}]\nexpect: []",
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAlertTestsAreFast: a hundred of them take well below a second.
func TestAlertTestsAreFast(t *testing.T) {
	t.Parallel()
	tests := map[string]string{}
	for i := range 100 {
		tests[fmt.Sprintf("t%02d", i)] = "given: {nodes: {a-1..20: {hub: h, labels: {role: web}}}, hubs: {h: {}}}\ntimeline: [{at: 1m, nodes: {a-1: {presence: stale}}}, {at: 1h, nodes: {a-1: {presence: live}}}]\nexpect: [{at: 3m, firing: silent/a-1}, {at: 1h2m, resolved: silent/a-1}]\nuntil: 24h"
	}
	began := time.Now()
	for name, failures := range runAlerts(t, tests) {
		if len(failures) > 0 {
			t.Errorf("%s: %q", name, failures)
		}
	}
	t.Logf("100 tests took %s", time.Since(began))
}
