package rollout

import "fmt"

// Text says in a sentence why a node runs what it runs; stage is the one that let it in.
func (w Why) Text(stage string) string {
	switch w {
	case WhyStable, "":
		return "what is stable on its channel: there is nothing newer, its turn is yet to come, or no stage is meant for it"
	case WhyPinned:
		return "somebody pinned this node to it: it takes nothing else"
	case WhyAdopted:
		return "it took the new bundle when it was its turn, and keeps it"
	case WhyAdmitted:
		return fmt.Sprintf("stage %s of the rollout has let it in", stage)
	case WhyKept:
		return "it has the bundle of a rollout before, and nobody took it back"
	case WhyReverted:
		return "what is stable on its channel: the new bundle was taken back"
	case WhyExpired:
		return "the pointer of its channel is past its time, so nothing changes"
	case WhyAside:
		return fmt.Sprintf("stage %s of the rollout has let it in, and it could not run the new bundle", stage)
	case WhyUndecided:
		return "it cannot tell whether it is its turn; its log says why"
	case WhyPaused:
		return fmt.Sprintf("it would be its turn by stage %s, and the rollout is paused", stage)
	case WhyWindow:
		return fmt.Sprintf("it is its turn by stage %s, and the window of the rollout is closed", stage)
	}
	return string(w)
}

// Whys are all reasons.
func Whys() []Why {
	return []Why{WhyStable, WhyPinned, WhyAdopted, WhyAdmitted, WhyKept, WhyReverted, WhyExpired, WhyAside, WhyUndecided, WhyPaused, WhyWindow}
}
