package rollout

import "time"

// A Snapshot is what is known at a moment.
type Snapshot struct {
	Now time.Time
	// Open says that a window of the rollout is open, or that it has none.
	Open bool
	// Blind says that nothing can be told of who is silent, such as because the service was down itself a moment ago.
	Blind bool
	Nodes []Node
	// Unsure are the checks that cannot be looked at now, and why. Nobody fails them, and nobody becomes healthy meanwhile.
	Unsure map[string]string
	// Control are the values of the nodes that do not have the candidate, by what is compared; what has too few is not there.
	Control map[string]float64
	// Answers are what those said who were asked.
	Answers []Answer
}

// A Node is what is known of one node of the channel. What it says of itself comes from reports that it signed.
type Node struct {
	ID       string
	Stages   uint32 // bit i: its labels meet the condition of stage i
	Seen     time.Time
	Interval time.Duration
	Live     bool   // heard of within three intervals
	Dark     bool   // silent together with the hub it is behind
	Digest   string // of the bundle in force
	Adopting string // of the bundle that it said it is about to put in force
	Failed   int    // resources that failed in its last run
	Waiting  int    // those that have yet to do what the bundle has new, in windows, at turns of their own or with secrets that are yet to be sealed
	PutAside bool   // it could not run the candidate, and went back by itself
	Pinned   bool   // to a bundle, by an operator of the node
	Muted    bool   // it is maintained
	// Rebooting says that it announced a reboot, Unconfirmed that it has yet to say that it came up well.
	Rebooting, Unconfirmed bool
	Boot                   string // of the machine; empty: it is not told
	Run                    string // its last one; it differs for each
	Bad                    uint32 // bit i: check i does not hold
}

// A Result is the last run of a node, as checks see it under the name "run".
type Result struct {
	OK        int      `json:"ok"`
	Changed   int      `json:"changed"`
	Corrected int      `json:"corrected"`
	Failed    int      `json:"failed"`
	Skipped   int      `json:"skipped"`
	Drift     int      `json:"drift"`
	Seconds   float64  `json:"seconds"`           // that it took
	Error     string   `json:"error,omitempty"`   // of the run as a whole
	Failing   []string `json:"failing,omitempty"` // resources that failed, such as "service.nginx"
}

// A Word says where a node is in a rollout.
type Word string

// The words. A node has exactly one.
const (
	Ineligible   Word = "ineligible" // it meets the condition of no stage
	Pinned       Word = "pinned"
	Pending      Word = "pending"        // its turn is yet to come
	Offline      Word = "offline"        // silent since before it adopted: excused
	Waiting      Word = "waiting-window" // its turn has come, and the window is closed: excused
	Admitted     Word = "admitted"       // its turn has come
	Adopting     Word = "adopting"       // it said that it is about to
	Partial      Word = "partial"        // it has the candidate, and some of it waits: for windows, turns or secrets
	Applied      Word = "applied"        // it has the candidate, and is watched
	Healthy      Word = "healthy"
	Failed       Word = "failed"
	SelfReverted Word = "self-reverted"
	Lost         Word = "lost" // silent since it adopted
)

// Words are all of them, in the order in which a node goes through them.
func Words() []Word {
	return []Word{Ineligible, Pinned, Pending, Offline, Waiting, Admitted, Adopting, Partial, Applied, Healthy, Failed, SelfReverted, Lost}
}

// adopter reports whether a node has, or had, the candidate in force.
func (w Word) adopter() bool {
	switch w {
	case Adopting, Partial, Applied, Healthy, Failed, SelfReverted, Lost:
		return true
	default:
		return false
	}
}

// inFlight reports whether a node is between admission and health. Failed and lost nodes stay in flight, so that outages do
// not add up.
func (w Word) inFlight() bool { return w == Admitted || w.adopter() && w != Healthy }

// A Command is what an operator wants. Whether they may is decided before.
type Command struct {
	Do    Do     `json:"do"`
	Stage string `json:"stage,omitempty"` // of an approval; empty: the one that waits
	By    string `json:"by"`
}

// Do is what a command does.
type Do string

// The commands.
const (
	DoPause   Do = "pause"
	DoResume  Do = "resume"
	DoApprove Do = "approve"
	DoAbort   Do = "abort"
	DoRevert  Do = "revert"
)

// A Transition is a change that people are told of.
type Transition struct {
	At      time.Time `json:"at"`
	Rollout string    `json:"rollout,omitempty"` // its ID
	From    Phase     `json:"from"`
	To      Phase     `json:"to"`
	Reason  Reason    `json:"reason"`
	Stage   string    `json:"stage,omitempty"`
	By      string    `json:"by,omitempty"`
	Detail  string    `json:"detail,omitempty"`
}
