package report

import "time"

// Status is the state of a fleet in one document: what `vigo status` shows. Times are UTC, durations are nanoseconds.
type Status struct {
	Fleet       string      `json:"fleet"`
	Now         time.Time   `json:"now"`   // when it was made, by the clock of the service
	Since       time.Time   `json:"since"` // when the service began to listen
	Presences   Presences   `json:"presences"`
	Rate        float64     `json:"rate"` // check-ins per second, over the last minute
	Compliances Compliances `json:"compliance"`
	Worst       []Worst     `json:"worst,omitempty"` // modules by failing and drifting nodes, most first, at most 5
	Channels    []Channel   `json:"channels"`        // sorted by name
	Hubs        []HubStatus `json:"hubs,omitempty"`  // sorted by name; they are not counted as nodes
	// Maintenance is what people work on now; nodes in it are counted above, and are no problems for being silent or failing.
	Maintenance []MaintenanceStatus `json:"maintenance,omitempty"`
	// Reboots counts the nodes that take turns to reboot, as far as they do now.
	Reboots RebootCounts `json:"reboots,omitzero"`
	// Problems holds what wants a person, worst first, at most as many as were asked for; ProblemCount counts all.
	Problems     []Problem `json:"problems"`
	ProblemCount int       `json:"problemCount"`
	// Amnesty is until when nodes are not called stale because the service itself was not listening; zero if not now.
	Amnesty time.Time `json:"amnesty,omitzero"`
}

// Healthy reports whether nothing wants a person: exit code 0 of `vigo status`.
func (s Status) Healthy() bool { return s.ProblemCount == 0 }

// Presences counts nodes by presence. Retired nodes are not part of Total.
type Presences struct {
	Total   int `json:"total"`
	Live    int `json:"live"`
	Late    int `json:"late"`
	Stale   int `json:"stale"`
	Missing int `json:"missing"`
	Never   int `json:"never"`
	Retired int `json:"retired"`
}

// Add counts one node.
func (p *Presences) Add(at Presence) {
	p.Total++
	switch at {
	case Live:
		p.Live++
	case Late:
		p.Late++
	case Stale:
		p.Stale++
	case Missing:
		p.Missing++
	case Never:
		p.Never++
	case Retired:
		p.Retired++
		p.Total--
	}
}

// Compliances counts nodes by the compliance of their last run; nodes that are not live keep their last one.
type Compliances struct {
	OK       int `json:"ok"`
	Changed  int `json:"changed"`
	Drift    int `json:"drift"`
	Failed   int `json:"failed"`
	Never    int `json:"never"`
	Repaired int `json:"repaired"` // nodes with a run that changed or corrected something within the last hour
}

// Add counts one node.
func (c *Compliances) Add(at Compliance) {
	switch at {
	case ComplianceOK:
		c.OK++
	case ComplianceChanged:
		c.Changed++
	case ComplianceDrift:
		c.Drift++
	case ComplianceFailed:
		c.Failed++
	default:
		c.Never++
	}
}

// A Worst is a module and the number of nodes on which something of it fails or drifts.
type Worst struct {
	Module string `json:"module"`
	Nodes  int    `json:"nodes"`
}

// A ChannelNote is what the controller says of a channel: what is published, and what could not be.
type ChannelNote struct {
	Channel string    `json:"channel"`
	Pointer string    `json:"pointer,omitempty"` // version, such as "3.1412"; empty: nothing published yet
	Issued  time.Time `json:"issued,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
	Digest  string    `json:"digest,omitempty"` // bundle that is stable
	Commit  string    `json:"commit,omitempty"` // that Digest was built from
	// From is the branch that feeds the channel, with its repository if that is another; empty: there is one branch only.
	From string `json:"from,omitempty"`
	// Rewritten says that the history of the branch was replaced, which an operator allowed: "OLD NEW", full hashes.
	Rewritten string `json:"rewritten,omitempty"`
	// Approvals are who approved the commit the channel is asked to run, as far as the policy asks for it.
	Approvals []string `json:"approvals,omitempty"`
	// Waiting is what was asked for the channel and people have not agreed to; nil: nothing.
	Waiting *Waiting `json:"waiting,omitempty"`
	// Candidate is what is being rolled out: the digest of its bundle, and Trial the commit it was built from; empty: nothing is.
	Candidate string `json:"candidate,omitempty"`
	Trial     string `json:"trial,omitempty"`
	// Dropped is the candidate of the last pointer that had one, when this one has none; the service fills it in.
	Dropped string `json:"dropped,omitempty"`
	Rollout string `json:"rollout,omitempty"` // how far it is, in one line; the service fills it in
	// Modes are the switches of the channel, by name.
	Modes []Mode `json:"modes,omitempty"`
	// Interval is how often the policy has nodes check in; 0: not known.
	Interval time.Duration `json:"interval,omitempty"`
	// Error says why the newest commit is not what is published: it does not compile, the registry is unreachable.
	Error       string    `json:"error,omitempty"`
	ErrorCommit string    `json:"errorCommit,omitempty"`
	ErrorSince  time.Time `json:"errorSince,omitzero"`
	Checked     time.Time `json:"checked,omitzero"` // when the controller last looked at the repository
	// Heard is when the service was told this, and Since when it was first told of this pointer, by its own clock; it
	// ignores what a controller says of them.
	Heard time.Time `json:"heard,omitzero"`
	Since time.Time `json:"since,omitzero"`
	// Controller names the process that says this; empty: it does not say. Other is the one that did before it, and Rivals when
	// they last took turns: the service keeps both.
	Controller string    `json:"controller,omitempty"`
	Other      string    `json:"other,omitempty"`
	Rivals     time.Time `json:"rivals,omitzero"`
}

// A Mode is a switch of a channel that conditions of policies see, as it stands.
type Mode struct {
	Name string `json:"name"`
	On   bool   `json:"on"`
	// Policy is what the policy says. Ordered, Note and Keys (their IDs) are of the order that says so instead; zero: there is none.
	Policy  bool      `json:"policy"`
	Ordered time.Time `json:"ordered,omitzero"`
	Note    string    `json:"note,omitempty"`
	Keys    []string  `json:"keys,omitempty"`
}

// Waiting is a promotion that waits for people.
type Waiting struct {
	Digest   string    `json:"digest"` // of the bundle that is asked for
	Commit   string    `json:"commit,omitempty"`
	Since    time.Time `json:"since,omitzero"`     // when it was asked, by the clock of who asked
	Note     string    `json:"note,omitempty"`     // why, in the words of who asked
	Approved []string  `json:"approved,omitempty"` // IDs of the keys that have
	Needs    int       `json:"needs,omitempty"`    // how many must; 0: it is not for approvals that it waits
	Missing  int       `json:"missing,omitempty"`
	Reason   string    `json:"reason"` // one line
}

// A Channel is a note with the nodes that follow it.
type Channel struct {
	ChannelNote
	Nodes  int `json:"nodes"`
	Cur    int `json:"current"`
	Cand   int `json:"candidates"` // that have the candidate
	Behind int `json:"behind"`
	Ahead  int `json:"ahead"`
}

// A Problem is one thing that wants a person.
type Problem struct {
	// Kind is store (the service cannot keep anything); or of a node: failed, drift, stale, missing; refused (the agent would not accept something); request (the service refused
	// one within the last hour: forged, replayed, of a retired node, with a token that is used up); behind (it enforces an older
	// bundle), frozen (it has an older pointer to the same bundle), ahead (it has a pointer nobody told the service of);
	// or of a channel: channel (its commit does not compile, or cannot be published), expired, silent (the controller is
	// not heard of); alert (a receiver of alerts takes no notices, or is not known); or of a hub: dark (it is not heard of, nor are the nodes behind it), mirror (it does not show its site
	// what is current).
	Kind    string    `json:"kind"`
	Node    string    `json:"node,omitempty"`
	Channel string    `json:"channel,omitempty"`
	Hub     string    `json:"hub,omitempty"` // the last check-in of the node came through it
	Text    string    `json:"text"`
	First   time.Time `json:"first,omitzero"`
	Count   int       `json:"count,omitempty"` // how often in a row
	Bundle  string    `json:"bundle,omitempty"`
	Commit  string    `json:"commit,omitempty"`
}
