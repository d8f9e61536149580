package resources

import (
	"context"
	"errors"
	"fmt"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Journald sets options of the journal of systemd, in a file of its own: /etc/systemd/journald.conf.d/vigo-<name>.conf. The
// journal is restarted when they have changed; it keeps what it holds.
//
//	resources:
//	  - journald: limits
//	    settings:
//	      Storage: persistent
//	      SystemMaxUse: 500M
//	      MaxRetentionSec: 1month
type Journald struct {
	// Name of the file, free to choose.
	Name string `vigo:"identity"`

	// Ensure says whether the file should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Settings are the options of the section Journal, as journald.conf(5) describes them.
	Settings map[string]string `yaml:"settings"`
}

var _ resource.Validator = (*Journald)(nil)

// Validate implements [resource.Validator].
func (j *Journald) Validate() error {
	return validateConf(j.Name, j.Ensure, j.Settings)
}

// validateConf is Validate of a type that is a file of settings.
func validateConf(name, ensure string, settings map[string]string) error {
	if err := errors.Join(checkWord("the name", name), checkSettings("settings", settings)); err != nil {
		return err
	}
	switch {
	case ensure == "absent" && len(settings) > 0:
		return errors.New("what is to be absent has no settings")
	case ensure != "absent" && len(settings) == 0:
		return errors.New(`needs the key "settings"`)
	}
	return nil
}

// Plan implements [resource.Resource].
func (j *Journald) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	f := gone("/etc/systemd/journald.conf.d/vigo-" + j.Name + ".conf")
	if j.Ensure != "absent" {
		if err := needSystemd(h); err != nil {
			return resource.Plan{}, fmt.Errorf("planning options of the journal: %w", err)
		}
		f = ownedFile(f.Path, ownedMark+"[Journal]\n"+settingLines(j.Settings, "="))
	}
	return ownedPlan(ctx, h, f, func(ctx context.Context) error { return restartIfRunning(ctx, h, "systemd-journald") })
}
