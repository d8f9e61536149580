package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Timezone is the time zone of the machine: the link /etc/localtime, and /etc/timezone where Debian keeps it.
//
//	resources:
//	  - timezone: Europe/Amsterdam
type Timezone struct {
	// Zone is the name of the time zone, such as Europe/Berlin or Etc/UTC.
	Zone string `vigo:"identity"`
}

var (
	_ resource.Validator = (*Timezone)(nil)
	_ resource.Requirer  = (*Timezone)(nil)
)

const (
	zoneinfo  = "/usr/share/zoneinfo"
	localtime = "/etc/localtime"
)

// Validate implements [resource.Validator].
func (z *Timezone) Validate() error {
	if full := path.Join(zoneinfo, z.Zone); full != zoneinfo+"/"+z.Zone || strings.ContainsAny(z.Zone, " \t\n") {
		return fmt.Errorf("%q is not the name of a time zone", z.Zone)
	}
	return nil
}

// Requires implements [resource.Requirer].
func (z *Timezone) Requires() []resource.ID { return []resource.ID{{Type: "package", Name: "tzdata"}} }

// Plan implements [resource.Resource].
func (z *Timezone) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	var plan resource.Plan
	zone := path.Join(zoneinfo, z.Zone)
	info, err := h.FS.Stat(zone)
	if err == nil && info.Kind == host.Dir {
		err = fmt.Errorf("%s is a directory: %w", zone, host.ErrNotFound)
	}
	if errors.Is(err, host.ErrNotFound) {
		err = fmt.Errorf("looking for time zone %s: %w", z.Zone, err)
		return plan, fault.WithHint(err, "names are like Europe/Berlin; the package tzdata has them")
	}
	if err != nil {
		return plan, err
	}
	from := change.Absent
	switch info, err := h.FS.Stat(localtime); {
	case errors.Is(err, host.ErrNotFound):
	case err != nil:
		return plan, err
	case info.Kind == host.Symlink:
		target := info.Target
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(localtime), target)
		}
		from = strings.TrimPrefix(path.Clean(target), zoneinfo+"/")
	default:
		from = "a " + string(info.Kind)
	}
	if from != z.Zone {
		plan.Do(func(ctx context.Context) error { return h.FS.Link(ctx, localtime, zone) }, change.Of("timezone", from, z.Zone))
	}
	for _, sign := range []string{"/etc/timezone", "/etc/debian_version"} {
		_, err := h.FS.Stat(sign)
		if errors.Is(err, host.ErrNotFound) {
			continue
		}
		if err != nil {
			return resource.Plan{}, err
		}
		err = planWriteFile(h, "/etc/timezone", z.Zone+"\n", "/etc/timezone", &plan)
		return plan, err
	}
	return plan, nil
}
