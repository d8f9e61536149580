package lease

import "time"

// A Fact is what is known of a node now.
type Fact struct {
	Known bool      // it is enrolled and not retired
	Live  bool      // it is heard of as often as it should be
	Seen  time.Time // when it was heard of last
	Boot  string    // that it has told; empty: none
	// Ran says that it has told of a run in that boot, and Well that nothing had failed in it.
	Ran, Well bool
}

// Word is what became of a lease.
type Word string

// What becomes of a lease.
const (
	Stays   Word = ""        // nothing has changed
	Back    Word = "back"    // the node has booted, and its first run shows that it is well
	Unused  Word = "unused"  // the time is over and the node goes on as if nothing had been
	Gone    Word = "gone"    // the node is retired
	TooLate Word = "overdue" // the time is over and the node is not back
	Quiet   Word = "quiet"   // it waits no longer
)

// patience is how long a node that waits may not ask before it is taken to wait no longer.
const patience = 20 * time.Minute

// Look says what became of a lease. A node that is not back, or not well, keeps its place: it counts as lost until it is well,
// it is retired, or somebody releases it.
func (l Lease) Look(f Fact, now time.Time) (Word, string) {
	if !f.Known {
		return Gone, "the node is retired"
	}
	if !l.Held() {
		if now.Sub(l.Heard) > patience {
			return Quiet, ""
		}
		return Stays, ""
	}
	late := now.After(l.Until)
	rebooted := f.Boot != "" && f.Boot != l.Boot
	switch {
	case rebooted && f.Live && f.Ran && (f.Well || l.Failing):
		return Back, ""
	case !late:
		return Stays, ""
	case !rebooted && f.Live && f.Boot != "" && f.Seen.After(l.Until):
		return Unused, "it did not reboot in time"
	}
	reason := "it is silent"
	switch {
	case rebooted && f.Live && f.Ran:
		reason = "it is back and not well"
	case rebooted && f.Live:
		reason = "it is back and has not told of a run"
	case f.Live:
		reason = "it has not told that it is back"
	}
	if reason == l.Reason && !l.Overdue.IsZero() {
		return Stays, ""
	}
	return TooLate, reason
}
