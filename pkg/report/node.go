package report

import "time"

// Digest says how the bundle a node enforces stands to that of its channel; a third axis beside presence and compliance.
type Digest string

// The digest states.
const (
	DigestCurrent   Digest = "current"
	DigestBehind    Digest = "behind"    // it enforces an older bundle, or none yet
	DigestAhead     Digest = "ahead"     // it has accepted a newer pointer than the service was told of
	DigestCandidate Digest = "candidate" // it enforces what is being rolled out
	DigestUnknown   Digest = "unknown"   // nothing is published on the channel, or the service was not told
)

// NodeStatus is one node as the service sees it now.
type NodeStatus struct {
	Name       string            `json:"name"`
	Channel    string            `json:"channel"`
	Labels     map[string]string `json:"labels,omitempty"`
	Presence   Presence          `json:"presence"`
	Seen       time.Time         `json:"seen,omitzero"` // receipt of the last check-in
	Interval   time.Duration     `json:"interval"`      // that the node was told
	Compliance Compliance        `json:"compliance"`    // of the last run that was reported, however old
	Digest     Digest            `json:"digest"`
	Bundle     string            `json:"bundle,omitempty"`
	Commit     string            `json:"commit,omitempty"` // when the bundle is known
	Pinned     bool              `json:"pinned,omitempty"` // somebody has it stay with that bundle
	Why        string            `json:"why,omitempty"`    // they gave as the reason
	Pointer    string            `json:"pointer,omitempty"`
	Agent      string            `json:"agent,omitempty"`
	Run        Summary           `json:"run"`
	Failing    int               `json:"failing,omitempty"` // runs in a row that failed or drifted
	Since      time.Time         `json:"since,omitzero"`    // when the present compliance began
	Spooled    int               `json:"spooled,omitempty"` // runs that wait on the node
	Reason     string            `json:"reason,omitempty"`  // of what is not well, one line
	Hub        string            `json:"hub,omitempty"`     // the last check-in came through it
	Refusals   []Refusal         `json:"refusals,omitempty"`
	Quarantine *Quarantine       `json:"quarantine,omitempty"` // nil: it is in none
	// Maintenance is the one it is in; nil: nobody works on it.
	Maintenance *Maintenance `json:"maintenance,omitempty"`
	// Reboot is that it reboots in turn, or waits for that; nil: neither.
	Reboot *Reboot `json:"reboot,omitempty"`
}

// NodeDetail is all the service knows of one node.
type NodeDetail struct {
	NodeStatus
	Enrolled    time.Time `json:"enrolled"`
	Token       string    `json:"token"` // ID of the token it enrolled with
	Key         string    `json:"key"`   // ID of its key
	CertExpires time.Time `json:"certExpires"`
	// RetireAfter is how long it may not be heard of before it is retired by itself; 0: people do that.
	RetireAfter time.Duration     `json:"retireAfter,omitempty"`
	Boot        string            `json:"boot,omitempty"`
	PointerAge  time.Duration     `json:"pointerAge,omitempty"`
	Facets      map[string]string `json:"facets,omitempty"` // trait name to digest
	Runs        []Run             `json:"runs"`             // that were not quiet, newest first, at most 20
	Events      []Event           `json:"events"`           // newest first, at most 50
	Said        []HistoryEntry    `json:"said"`             // what it said of itself anew, newest first, at most 20
	// Dropped is until when it was forgotten before its time, by class (runs, quiet, events, history, traits), because the node says
	// so much that it has more than its share; nil: nothing was.
	Dropped map[string]time.Time `json:"dropped,omitempty"`
}

// An Event is something that happened, once: a transition, not a state.
type Event struct {
	// Seq rises with each event of a service; the store gives it.
	Seq  int64     `json:"seq,omitempty"`
	At   time.Time `json:"at"`
	Node string    `json:"node,omitempty"`
	// Kind is node.enrolled, node.renewed, node.retired, node.stale, node.missing, node.back, node.refused (it would not
	// accept something; Text begins with the name of the refusal), node.settled (it refuses nothing any more),
	// node.quarantine (a rule of alerts put it in quarantine), node.released (it is out), node.excess (it reports
	// more than its share: what is beyond is forgotten early, or refused),
	// nodes.forgotten (Text names nodes whose retirement was so long ago that all that was kept of them has gone),
	// request.refused (somebody was turned away; Text begins with the code of the refusal),
	// token.created, token.revoked, operator.added, operator.removed, channel.published or channel.error.
	Kind string `json:"kind"`
	Text string `json:"text,omitempty"`
}

// A Query narrows a list of nodes; the zero Query is all that are not retired.
type Query struct {
	Presence   Presence          `json:"presence,omitempty"`
	Compliance Compliance        `json:"compliance,omitempty"`
	Digest     Digest            `json:"digest,omitempty"`
	Channel    string            `json:"channel,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Name       string            `json:"name,omitempty"` // glob of path.Match
}

// Matches reports whether a node is in the list.
func (q Query) Matches(n NodeStatus) bool {
	if q.Presence == "" && n.Presence == Retired || q.Presence != "" && q.Presence != n.Presence {
		return false
	}
	if q.Compliance != "" && q.Compliance != n.Compliance || q.Digest != "" && q.Digest != n.Digest ||
		q.Channel != "" && q.Channel != n.Channel {
		return false
	}
	for k, v := range q.Labels {
		if got, ok := n.Labels[k]; !ok || got != v {
			return false
		}
	}
	return q.Name == "" || matchName(q.Name, n.Name)
}

// Traits is the traits of one node as it last sent them.
type Traits struct {
	Node   string         `json:"node"`
	Seen   time.Time      `json:"seen"`
	Traits map[string]any `json:"traits"` // trait name to document
}
