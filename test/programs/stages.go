package programs

import "fmt"

// Stages is how fleets of tests roll out what is new on the channel stable: to the nodes for trials, to half of the fleet if it says so,
// and to the rest. A stage has minutes, however busy the machine is, and its nodes report twice.
type Stages struct {
	Soak         string // such as 3s
	Failed, Lost string // the limits of aborting, such as "percent: 50, min: 2"
	Half         bool
}

// Policy is the file rollouts/stable.yaml.
func (s Stages) Policy() string {
	half := ""
	if s.Half {
		half = "  - {name: early, size: 50%}\n"
	}
	return fmt.Sprintf(`kind: Rollout
channel: stable
gate: {soak: %s, checkins: 2, success: 100%%}
deadline: 3m
abort: {failed: {%s}, lost: {%s}}
stages:
  - {name: canary, when: stage == "trial", size: 100%%}
%s  - {name: rest, size: 100%%}
`, s.Soak, s.Failed, s.Lost, half)
}
