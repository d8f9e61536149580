package policy

import (
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"vigo.dev/pkg/rollout"
)

// TestRolloutGates reads who is asked, by stage or for all, the limit of a check, and where people agree.
func TestRolloutGates(t *testing.T) {
	t.Parallel()
	specs, _, err := LoadRollouts(fstest.MapFS{"rollouts/stable.yaml": {Data: []byte(`kind: Rollout
gate: {ask: slo}
checks:
  - {name: load, expr: load.one < control(load.one), abort: {percent: 20, min: 5}}
stages:
  - {name: canary, size: 5%, approve: {ask: [board]}, gate: {ask: {of: [board, slo], deadline: 30m}}}
  - {name: rest, size: 100%, approve: {count: 2, by: ann, only_commits: true, file: rollouts/approvals/stable.yaml}}
`)}, "rollouts/approvals/stable.yaml": {Data: []byte("kind: Approvals\n")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := specs["stable"]
	first, last := s.Stages[0].Gate.Ask, s.Stages[1].Gate.Ask
	if !slices.Equal(first.Of, []string{"board", "slo"}) || first.Deadline != 30*time.Minute || !slices.Equal(last.Of, []string{"slo"}) {
		t.Errorf("asked are %+v and %+v", first, last)
	}
	if got := s.Stages[0].Approve; got.Count != 0 || !slices.Equal(got.Ask.Of, []string{"board"}) {
		t.Errorf("the first begins when %+v", got)
	}
	if got := s.Checks[0].Abort; got != (rollout.Limit{Percent: 20, Min: 5}) {
		t.Errorf("the limit is %+v", got)
	}
	if got := s.Stages[1].Approve; got.File != "rollouts/approvals/stable.yaml" || got.Count != 2 || !got.OnlyCommits {
		t.Errorf("approved by %+v", got)
	}
}

// FuzzParseConsents feeds anything to the reader of approvals.
func FuzzParseConsents(f *testing.F) {
	f.Add([]byte("kind: Approvals\napprovals:\n  - {stage: early, commit: 4f1c2a9d0c3b, by: ann}\n"))
	f.Add([]byte("kind: Approvals\napprovals: [{stage: x, commit: \"0000\", by: [a]}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseConsents("a.yaml", data)
		for _, c := range list {
			if err == nil && (c.Stage == "" || c.By == "" || len(c.Commit) < leastConsent) {
				t.Errorf("%+v", c)
			}
		}
	})
}
