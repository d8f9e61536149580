package report

import "time"

// The limits of alerts.
const (
	MaxAlertRules = 200
	MaxMutes      = 200
	MaxListed     = 50   // findings that one transition names; it counts all
	MaxTold       = 1000 // transitions in one notice
)

// The kinds of events that rules of alerts can be about.
const (
	EventStale     = "node.stale"           // a node is stale or missing
	EventSetAside  = "node.quarantine"      // a node refuses what it is shown: a rollback, a bad signature, an expired pointer
	EventFailed    = "node.failed"          // the last run of a node failed
	EventDrift     = "node.drift"           // the last run of a node found drift and left it
	EventExcess    = "node.excess"          // a node reports more than its share, and what is beyond is forgotten early, or refused
	EventDark      = "hub.dark"             // a hub is not heard of
	EventThreshold = "compliance.threshold" // fewer nodes comply than are to
	EventFrozen    = "pointer.frozen"       // a node that is well has an old pointer, or that of a channel has expired
	EventForked    = "pointer.forked"       // a node has a pointer that the service was not told of
	EventChannel   = "channel.error"        // the newest commit is not published, or the controller is not heard of
	EventExpiring  = "certificate.expiring" // the certificate of a node or hub was not renewed
	EventDisk      = "disk.full"            // a filesystem of a node is full
	EventReboot    = "reboot.overdue"       // a node is not back from its reboot, or not well, and its place stays taken

	EventRolloutStarted   = "rollout.started"          // a rollout is under way
	EventRolloutApproval  = "rollout.waiting-approval" // somebody has to agree before its next stage begins
	EventRolloutPaused    = "rollout.paused"           // it goes on when somebody has looked
	EventRolloutAborted   = "rollout.aborted"          // it ended badly; the channel does not run what is in git
	EventRolloutCompleted = "rollout.completed"        // it has come to its end within the last ten minutes
)

// AlertEvents lists the kinds of events.
func AlertEvents() []string {
	return []string{EventStale, EventSetAside, EventFailed, EventDrift, EventExcess, EventDark, EventThreshold, EventFrozen, EventForked, EventChannel, EventExpiring, EventDisk, EventReboot,
		EventRolloutStarted, EventRolloutApproval, EventRolloutPaused, EventRolloutAborted, EventRolloutCompleted}
}

// An AlertRule says of what people are told, and how. It is about an event, or about the nodes that its conditions are true for.
type AlertRule struct {
	Name     string `json:"name"`
	About    string `json:"about,omitempty"`    // what to do about it, one line or a few
	Severity string `json:"severity,omitempty"` // critical, warning or info
	Event    string `json:"event,omitempty"`    // one of [AlertEvents]; "": the conditions alone

	Where      string       `json:"where,omitempty"` // condition over labels and traits; "": all
	Presence   []Presence   `json:"presence,omitempty"`
	Compliance []Compliance `json:"compliance,omitempty"`
	Channel    []string     `json:"channel,omitempty"`
	Hub        []string     `json:"hub,omitempty"`
	Node       []string     `json:"node,omitempty"` // globs of names

	Min    float64       `json:"min,omitempty"`    // of compliance.threshold: percent of nodes
	Within time.Duration `json:"within,omitempty"` // of certificate.expiring: before its end
	Full   float64       `json:"full,omitempty"`   // of disk.full: percent
	Runs   int           `json:"runs,omitempty"`   // of node.failed and node.drift: so many runs in a row; 0: one

	For         time.Duration `json:"for,omitempty"`     // it has to be true before anybody is told
	Leave       time.Duration `json:"leave,omitempty"`   // it has to be false before it is over
	Repeat      time.Duration `json:"repeat,omitempty"`  // between reminders; 0: none
	GroupBy     []string      `json:"groupBy,omitempty"` // hub, channel or names of labels; none: each node is told by itself
	InhibitedBy []string      `json:"inhibitedBy,omitempty"`
	Notify      []string      `json:"notify,omitempty"` // names of receivers; none: the default ones of the service
	// Quarantine is that nodes that are found are put in quarantine; nil: they are not.
	Quarantine *QuarantineRule `json:"quarantine,omitempty"`
}

// NewAlertRule is a rule that says nothing but its name and event.
func NewAlertRule(name, event string) AlertRule {
	r := AlertRule{Name: name, Event: event, Severity: "warning", Leave: time.Minute, Repeat: 4 * time.Hour}
	switch event {
	case EventStale:
		r.InhibitedBy = []string{EventDark}
	case EventThreshold:
		r.Min = 99
	case EventExpiring:
		r.Within = 36 * time.Hour // certificates of nodes are good for seven days, and renewed when a third is left
	case EventDisk:
		r.Full = 95
	}
	return r
}

// A Transition is something that people are told of an alert, once.
type Transition struct {
	ID       string    `json:"id"`    // the same however often it is sent
	Alert    string    `json:"alert"` // ID of the alert from its beginning to its end
	Key      string    `json:"key"`   // rule and group: the same each time that it happens
	Kind     string    `json:"kind"`  // firing, grown, repeat, resolved; quarantined, released; or test
	Rule     string    `json:"rule"`
	Group    string    `json:"group"`
	Event    string    `json:"event,omitempty"`
	Severity string    `json:"severity"`
	About    string    `json:"about,omitempty"`
	At       time.Time `json:"at"`
	Since    time.Time `json:"since"` // when it began
	Count    int       `json:"count"` // of what was found
	// Findings are the first of what was found, at most [MaxListed], sorted.
	Findings []Finding `json:"findings,omitempty"`
}

// A Finding is one thing that a rule is true for: a node, hub, channel, or group of nodes.
type Finding struct {
	Subject string `json:"subject"`
	Text    string `json:"text,omitempty"`
}

// A Notice is what is sent to a receiver: one transition, or many at once.
type Notice struct {
	ID          string       `json:"id"`
	Fleet       string       `json:"fleet"`
	Receiver    string       `json:"-"`
	At          time.Time    `json:"at"`
	Digest      bool         `json:"digest,omitempty"` // there were too many for a notice each
	Transitions []Transition `json:"transitions"`
}

// A Mute keeps alerts from being told until it ends.
type Mute struct {
	ID     string    `json:"id"`
	Rule   string    `json:"rule,omitempty"`  // glob; "": every rule
	Group  string    `json:"group,omitempty"` // glob of groups, or of what was found; "": all
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until"`
}

// An Alert is one that is not over.
type Alert struct {
	ID        string    `json:"id,omitempty"` // "": it waits
	Rule      string    `json:"rule"`
	Group     string    `json:"group"`
	Severity  string    `json:"severity"`
	State     string    `json:"state"` // waiting (for its time), firing, leaving
	Since     time.Time `json:"since"`
	Told      time.Time `json:"told,omitzero"`       // when somebody was told last
	Inhibited string    `json:"inhibited,omitempty"` // by which alert
	Muted     string    `json:"muted,omitempty"`     // by which mute
	Count     int       `json:"count"`
	Findings  []Finding `json:"findings"`
}

// Alerts is what there is of alerts: those that are not over, who is told, and by which rules.
type Alerts struct {
	Alerts    []Alert         `json:"alerts"`
	Mutes     []Mute          `json:"mutes"`
	Rules     []AlertRule     `json:"rules"`
	BuiltIn   bool            `json:"builtIn,omitempty"` // the repository has no rules, so these are those of the program
	Receivers []AlertReceiver `json:"receivers"`
	Key       string          `json:"key,omitempty"` // that webhooks are signed with: whpk_ and its public half
	Problems  []string        `json:"problems,omitempty"`
}

// An AlertReceiver is who is told.
type AlertReceiver struct {
	Name    string    `json:"name"`
	Kind    string    `json:"kind"` // smtp or webhook
	Waiting int       `json:"waiting"`
	Dead    int       `json:"dead"`
	Error   string    `json:"error,omitempty"` // why the last try failed
	Since   time.Time `json:"since,omitzero"`  // when the oldest that waits was written
}

// A DeadNotice is one that could not be delivered, and is not tried any more.
type DeadNotice struct {
	Notice
	To    string    `json:"to"` // name of the receiver
	Died  time.Time `json:"died"`
	Tries int       `json:"tries"`
	Error string    `json:"error"`
}
