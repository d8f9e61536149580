package resources

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Snap is a package of snapd. What is installed, and from which channel, is read from the state of snapd; the program
// snap runs only to change it. Snaps update themselves within their channel.
//
//	resources:
//	  - snap: lxd
//	    channel: 5.21/stable
type Snap struct {
	// Name of the snap.
	Name string `vigo:"identity"`

	// Ensure says whether it should be present (the default) or absent.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Channel to follow, with its track: latest/stable. Without it any will do; a new snap then gets the default one.
	Channel string `yaml:"channel"`

	// Classic permits a snap that is not confined to be installed.
	Classic bool `yaml:"classic"`

	// Purge removes the data of the snap too, without the snapshot that snapd keeps otherwise.
	Purge bool `yaml:"purge"`
}

var (
	_ resource.Validator = (*Snap)(nil)
	_ resource.Requirer  = (*Snap)(nil)
)

const (
	snapState    = "/var/lib/snapd/state.json"
	maxSnapState = 256 << 20 // it grows with the history of changes; megabytes are usual
)

// Validate implements [resource.Validator].
func (r *Snap) Validate() error {
	switch {
	case !plainWord(r.Name, ""):
		return fmt.Errorf("%q is not the name of a snap", r.Name)
	case r.Channel != "" && !plainWord(r.Channel, "./"):
		return fmt.Errorf("channel: %q is not a channel", r.Channel)
	case r.Ensure == "absent" && (r.Channel != "" || r.Classic):
		return errors.New("channel and classic are not for a snap that is to be absent")
	case r.Purge && r.Ensure != "absent":
		return errors.New("purge is only for snaps that are removed")
	}
	return nil
}

// Requires implements [resource.Requirer].
func (r *Snap) Requires() []resource.ID { return []resource.ID{{Type: "package", Name: "snapd"}} }

// Plan implements [resource.Resource].
func (r *Snap) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	channel, there, err := snapChannel(h, r.Name)
	if err != nil {
		return p, err
	}
	options := []string{}
	if r.Channel != "" {
		options = append(options, "--channel="+r.Channel)
	}
	snap := func(verb string, options []string, changes ...change.Change) {
		argv := append(append([]string{"snap", verb}, options...), r.Name)
		p.Do(func(ctx context.Context) error { return runProgram(ctx, h, argv...) }, changes...)
	}
	switch {
	case r.Ensure == "absent" && !there:
	case r.Ensure == "absent":
		if r.Purge {
			options = append(options, "--purge")
		}
		snap("remove", options, change.Of("ensure", orWord(channel, "present"), change.Absent))
	case !there:
		if r.Classic {
			options = append(options, "--classic")
		}
		snap("install", options, change.Of("ensure", change.Absent, orWord(r.Channel, "present")))
	case r.Channel != "" && r.Channel != channel:
		snap("refresh", options, change.Of("channel", channel, r.Channel))
	}
	return p, nil
}

// snapChannel reads what snapd knows of one snap.
func snapChannel(h *host.Host, name string) (channel string, there bool, err error) {
	data, err := h.FS.Read(snapState, maxSnapState)
	if errors.Is(err, host.ErrNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	var state struct {
		Data struct {
			Snaps map[string]struct {
				Current string `json:"current"`
				Channel string `json:"channel"`
			} `json:"snaps"`
		} `json:"data"`
	}
	if err := json.Unmarshal(data, &state); err != nil {
		return "", false, fmt.Errorf("reading %s: %w", snapState, err)
	}
	snap, ok := state.Data.Snaps[name]
	return snap.Channel, ok && snap.Current != "", nil
}
