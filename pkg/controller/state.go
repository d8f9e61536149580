package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/trust"
	"vigo.dev/pkg/window"
)

const stateName = "controller.json"

// state is what the controller must not forget. It is written before anything is published, so that a sequence number
// is never used for two contents: a pointer that was signed is published with the very bytes that were stored, however
// often the controller is killed in between.
type state struct {
	Format  int           `json:"format"` // 1
	Fleet   string        `json:"fleet"`
	Built   Revision      `json:"built"`
	Bundle  bundle.Target `json:"bundle"`
	Content string        `json:"content"` // content digest of the bundle
	Names   []string      `json:"names"`   // channels to publish
	// Listed are the channels the bundle is for, and Sources those that the policy feeds from elsewhere.
	Listed   []string                 `json:"listed,omitempty"`
	Sources  map[string]policy.Origin `json:"sources,omitempty"`
	Interval time.Duration            `json:"interval,omitempty"`
	Alerts   []report.AlertRule       `json:"alerts,omitempty"`
	Grants   []report.LabelGrant      `json:"grants,omitempty"`
	Rollouts map[string]rollout.Spec  `json:"rollouts,omitempty"`
	Windows  map[string]window.Window `json:"windows,omitempty"`
	Modes    map[string]bool          `json:"modes,omitempty"`   // as the policy says
	Rewrite  *Rewrite                 `json:"rewrite,omitempty"` // the last that was allowed
	// Secrets is that of the config of Bundle.
	Secrets int64 `json:"secrets,omitempty"`
	// Approvals are who approved Built.
	Approvals []string             `json:"approvals,omitempty"`
	Channels  map[string]published `json:"channels"`
	// Promoted is, by channel, where it was when what people approved last was asked for: no older approval counts again.
	Promoted map[string]trust.Base `json:"promoted,omitempty"`
	// Marks are where channels stood before the state was lost, as others knew it.
	Marks map[string]Mark `json:"marks,omitempty"`
}

// published is the newest pointer of a channel, as signed.
type published struct {
	Pointer    bundle.Pointer `json:"pointer"`
	Signatures [][]byte       `json:"signatures"`
	Payload    string         `json:"payload"` // digest of what was signed
	Done       bool           `json:"done"`    // it reached the registry
}

func loadState(dir string) (state, error) {
	s := state{Format: 1, Channels: map[string]published{}, Promoted: map[string]trust.Base{}}
	path := filepath.Join(dir, stateName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("reading the state of the controller: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("reading %s: %w", path, err)
	}
	if s.Format != 1 {
		return s, fmt.Errorf("reading %s: format %d is not known to this version", path, s.Format)
	}
	if s.Listed == nil { // of a version that knew one branch only
		s.Listed = s.Names
	}
	if s.Channels == nil {
		s.Channels = map[string]published{}
	}
	if s.Promoted == nil {
		s.Promoted = map[string]trust.Base{}
	}
	return s, nil
}

func (s state) save(dir string) error {
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, stateName), append(data, '\n'), 0o600)
}
