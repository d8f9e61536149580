package resources

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// TimeSync is where the machine gets the time from: the servers of systemd-timesyncd
// (/etc/systemd/timesyncd.conf.d/vigo.conf) or of chrony (/etc/chrony/conf.d/vigo.conf, or a block in /etc/chrony.conf). The
// service is enabled and runs, and is restarted when its servers have changed.
//
//	resources:
//	  - time_sync: ntp
//	    servers: [ntp1.example.com, ntp2.example.com]
type TimeSync struct {
	// Name in the policy, free to choose; a machine has one.
	Name string `vigo:"identity"`

	// Servers to ask.
	Servers []string `yaml:"servers"`

	// Pools are names behind which there are several servers.
	Pools []string `yaml:"pools"`

	// Fallback are the servers of timesyncd for when no other is known.
	Fallback []string `yaml:"fallback"`

	// Provider is the program; auto (the default) takes chrony if it is installed, and timesyncd otherwise.
	Provider string `yaml:"provider" vigo:"enum=auto|timesyncd|chrony"`

	// Options behind each server and pool, for chrony; iburst by default.
	Options string `yaml:"options"`

	// Exclusive turns the servers and pools of the package's own /etc/chrony/chrony.conf or /etc/chrony.conf into comments.
	Exclusive bool `yaml:"exclusive"`
}

var (
	_ resource.Validator = (*TimeSync)(nil)
	_ resource.Requirer  = (*TimeSync)(nil)
)

// Validate implements [resource.Validator].
func (t *TimeSync) Validate() error {
	if len(t.Servers)+len(t.Pools) == 0 {
		return errors.New(`needs the key "servers" or "pools"`)
	}
	for field, names := range map[string][]string{"servers": t.Servers, "pools": t.Pools, "fallback": t.Fallback} {
		for _, name := range names {
			if !syslogTarget.MatchString(name) {
				return fmt.Errorf("%s: %q is neither a name nor an address", field, name)
			}
		}
	}
	if t.Provider == "chrony" && len(t.Fallback) > 0 {
		return errors.New("fallback is for timesyncd")
	}
	return oneLine("options", t.Options)
}

// Requires implements [resource.Requirer].
func (t *TimeSync) Requires() []resource.ID {
	return []resource.ID{{Type: "package", Name: "chrony"}, {Type: "package", Name: "systemd-timesyncd"}}
}

// Plan implements [resource.Resource].
func (t *TimeSync) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	name, conf, err := t.provider(ctx, h)
	if err != nil {
		return resource.Plan{}, err
	}
	restart := func(ctx context.Context) error { return restartIfRunning(ctx, h, name) }
	var p resource.Plan
	switch {
	case name == "systemd-timesyncd":
		p, err = ownedPlan(ctx, h, ownedFile("/etc/systemd/timesyncd.conf.d/vigo.conf", t.timesyncd()), restart)
	case conf == "/etc/chrony.conf":
		body := t.chrony()
		block := &Block{Name: "time_sync", Path: conf, Content: &body}
		p, err = textEdit{Path: conf, Edit: func(lines []string) ([]string, error) {
			lines, err := block.edit(lines, place{})
			if err != nil || !t.Exclusive {
				return lines, err
			}
			return t.quiet(lines)
		}}.plan(h)
		p = p.Tell(restart)
	default:
		p, err = ownedPlan(ctx, h, ownedFile("/etc/chrony/conf.d/vigo.conf", ownedMark+t.chrony()), restart)
	}
	if err != nil {
		return resource.Plan{}, err
	}
	if t.Exclusive && conf == "/etc/chrony/chrony.conf" {
		rest, err := textEdit{Path: conf, Edit: t.quiet}.plan(h)
		if err != nil {
			return resource.Plan{}, err
		}
		p.Include("other servers", rest.Tell(restart))
	}
	yes := true
	state, err := (&Service{Name: name, Running: &yes, Enabled: &yes}).Plan(ctx, h)
	if err != nil {
		return resource.Plan{}, err
	}
	p.Include("", state)
	return p, nil
}

// provider finds the service, and the main file of chrony.
func (t *TimeSync) provider(ctx context.Context, h *host.Host) (service, conf string, err error) {
	if t.Provider != "timesyncd" {
		for _, c := range []struct{ service, conf string }{{"chrony", "/etc/chrony/chrony.conf"}, {"chronyd", "/etc/chrony.conf"}} {
			is, err := look(h, c.conf)
			if err != nil || is != nil {
				return c.service, c.conf, err
			}
		}
		if t.Provider == "chrony" {
			err := fmt.Errorf("looking for chrony: %w", host.ErrNotFound)
			return "", "", fault.WithHint(err, "declare the package chrony, and require it")
		}
	}
	_, err = h.Services.Service(ctx, "systemd-timesyncd")
	if errors.Is(err, host.ErrNotFound) {
		err = fault.WithHint(fmt.Errorf("looking for chrony or systemd-timesyncd: %w", err), "declare the package of one of them, and require it")
	}
	return "systemd-timesyncd", "", err
}

func (t *TimeSync) timesyncd() string {
	text := ownedMark + "[Time]\nNTP=" + strings.Join(append(append([]string{}, t.Servers...), t.Pools...), " ") + "\n"
	if len(t.Fallback) > 0 {
		text += "FallbackNTP=" + strings.Join(t.Fallback, " ") + "\n"
	}
	return text
}

func (t *TimeSync) chrony() string {
	var b strings.Builder
	for _, s := range t.Servers {
		b.WriteString("server " + s + " " + orWord(t.Options, "iburst") + "\n")
	}
	for _, s := range t.Pools {
		b.WriteString("pool " + s + " " + orWord(t.Options, "iburst") + "\n")
	}
	return b.String()
}

// quiet turns servers and pools that are not in the block into comments.
func (t *TimeSync) quiet(lines []string) ([]string, error) {
	out, own := make([]string, len(lines)), false
	for i, l := range lines {
		switch {
		case l == "# vigo begin time_sync":
			own = true
		case l == "# vigo end time_sync":
			own = false
		}
		words := strings.Fields(strings.ToLower(l)) // chrony takes any white space and any case
		if out[i] = l; !own && len(words) > 0 && slices.Contains([]string{"server", "pool", "peer"}, words[0]) {
			out[i] = "# " + l
		}
	}
	return out, nil
}
