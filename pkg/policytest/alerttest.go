package policytest

import (
	"time"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/report"
)

// An AlertTest is one file of alerts/tests: what is so at which time, and what people are to be told of it, whole.
type AlertTest struct {
	Kind  string   `yaml:"kind"`
	About string   `yaml:"about"`
	Rules []string `yaml:"rules"` // only these count; none: all of the repository
	// Given is what there is at the beginning, when all is known to be well for as long as it takes.
	Given    Scene         `yaml:"given"`
	Timeline []Scene       `yaml:"timeline"`
	Expect   []Told        `yaml:"expect"`
	Until    time.Duration `yaml:"until"` // nothing else happens until then; 0: an hour after the last of the timeline and of expect
}

// A Scene is what becomes so at a time. What it does not name stays as it was.
type Scene struct {
	At       time.Duration           `yaml:"at"` // since the beginning
	Nodes    map[string]NodeFacts    `yaml:"nodes"`
	Hubs     map[string]HubFacts     `yaml:"hubs"`
	Channels map[string]ChannelFacts `yaml:"channels"`
	Mute     *MuteFacts              `yaml:"mute"`
}

// NodeFacts is what is said of a node, or of many: web-1..20. A key that is not there stays as it was; at the beginning the
// node is live and ok, on the channel stable.
type NodeFacts struct {
	Labels      map[string]string `yaml:"labels"`
	Traits      map[string]any    `yaml:"traits"` // each trait is replaced as a whole
	Channel     *string           `yaml:"channel"`
	Hub         *string           `yaml:"hub"` // that it is behind
	Presence    report.Presence   `yaml:"presence"`
	Compliance  report.Compliance `yaml:"compliance"`
	Failing     *int              `yaml:"failing"`     // runs in a row that were not well; 1 if it failed or drifted
	Refuses     *string           `yaml:"refuses"`     // what it refuses; "": nothing
	Pointer     *string           `yaml:"pointer"`     // frozen, forked, or "" for a good one
	Overdue     *bool             `yaml:"overdue"`     // not back from its reboot
	Excess      *bool             `yaml:"excess"`      // it reports more than its share
	Certificate *time.Duration    `yaml:"certificate"` // how long it is still valid
	Maintenance *bool             `yaml:"maintenance"` // somebody works on it
}

// HubFacts is what is said of a hub.
type HubFacts struct {
	Presence    report.Presence `yaml:"presence"`
	Certificate *time.Duration  `yaml:"certificate"`
	Maintenance *bool           `yaml:"maintenance"`
}

// ChannelFacts is what is wrong with a channel; each "" is nothing.
type ChannelFacts struct {
	Error   *string `yaml:"error"`   // why the newest commit is not published, or the controller is not heard of
	Expired *bool   `yaml:"expired"` // its pointer is past its time
	Rollout *string `yaml:"rollout"` // the phase of its rollout, such as paused, or waiting-approval
}

// MuteFacts is a mute that somebody begins, as with vigo alert mute.
type MuteFacts struct {
	Rule string        `yaml:"rule"` // glob
	Of   string        `yaml:"of"`   // glob of nodes or groups
	Last time.Duration `yaml:"last"`
}

// Told is something that people are told at a time, by the key of the alert: RULE/NODE, or RULE/GROUP. Inhibited and Muted are
// that they are not told then, though it is so.
type Told struct {
	At        time.Duration `yaml:"at"`
	Firing    string        `yaml:"firing"`
	Grown     string        `yaml:"grown"`
	Repeat    string        `yaml:"repeat"`
	Resolved  string        `yaml:"resolved"`
	Inhibited string        `yaml:"inhibited"`
	Muted     string        `yaml:"muted"`
	// Quarantined and Released name nodes.
	Quarantined string `yaml:"quarantined"`
	Released    string `yaml:"released"`
	By          string `yaml:"by"` // key of the alert that explains an inhibited one
	// Count, Of and Notify are compared when they are there: how many were found, which, and who is told.
	Count  *int     `yaml:"count"`
	Of     []string `yaml:"of"`
	Notify []string `yaml:"notify"`

	line int
}

// UnmarshalYAML remembers the line.
func (t *Told) UnmarshalYAML(n *yaml.Node) error {
	type plain Told
	t.line = n.Line
	return n.Decode((*plain)(t))
}

// words are the kinds of what is told, with the keys of alerts, that one entry names; one is right.
func (t *Told) words() (kinds, keys []string) {
	for _, w := range [][2]string{{"firing", t.Firing}, {"grown", t.Grown}, {"repeat", t.Repeat}, {"resolved", t.Resolved}, {"inhibited", t.Inhibited}, {"muted", t.Muted}} {
		if w[1] != "" {
			kinds, keys = append(kinds, w[0]), append(keys, w[1])
		}
	}
	for _, w := range [][2]string{{"quarantined", t.Quarantined}, {"released", t.Released}} {
		if w[1] != "" {
			kinds, keys = append(kinds, w[0]), append(keys, report.EventSetAside+"/"+w[1])
		}
	}
	return kinds, keys
}
