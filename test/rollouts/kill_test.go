package rollouts

import (
	"fmt"
	"slices"
	"syscall"
	"testing"

	"vigo.dev/pkg/rollout"
)

// TestKilledInEveryState kills the services, which are one program here, whenever the rollout has come to something new. It goes
// on from there, nobody has what was not meant for them, and nobody who has it loses it.
func TestKilledInEveryState(t *testing.T) {
	t.Parallel()
	f := prepare(t, quick())
	f.serve()
	f.enrol(f.address, 6)
	f.begin()
	f.commit("two", "")
	var met []string
	had := map[string]bool{}
	f.await("it has come to its end", func() string {
		s := f.status()
		most := 0
		for i, st := range s.Stages {
			if st.State != "waiting" {
				most = []int{2, 3, 6}[i]
			}
		}
		for _, name := range f.hosts.Names {
			switch f.reads(name) {
			case "two":
				had[name] = true
			case "one":
				if had[name] {
					t.Errorf("%s had it, and has not any more", name)
				}
			}
		}
		if s.Phase != "" && f.having("two") > most {
			t.Errorf("%d have it in %s, where %d may", f.having("two"), states(s.Stages), most)
		}
		if sum := total(s.Counts); s.Phase != "" && sum != 6 {
			t.Errorf("the counts are %v", s.Counts)
		}
		if now := fmt.Sprint(s.Phase, " ", s.Reason, " ", states(s.Stages)); s.Phase != "" && s.Reason != rollout.EvidenceBlind && !slices.Contains(met, now) {
			met = append(met, now)
			f.up.End(syscall.SIGKILL)
			f.serve()
		}
		if s.Phase != rollout.Completed {
			return fmt.Sprintf("it is %s (%s); killed at %q", s.Phase, s.Reason, met)
		}
		return f.missing("two")
	})
	t.Logf("killed at %q", met)
	if len(met) < 5 {
		t.Errorf("it was killed at %q only", met)
	}
}
