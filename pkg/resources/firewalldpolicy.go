package resources

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// checkFirewalld says what of a policy firewalld does not have.
func (f *FirewallPolicy) checkFirewalld() error {
	if len(f.Name) > 17 {
		return fmt.Errorf("%q is too long for the name of a zone, which has at most 17 characters", f.Name)
	}
	if f.Output != "" {
		return notWith(backendFirewalld, "output", "a zone is about packets that come in")
	}
	for _, i := range f.Interfaces {
		if !nftIface.MatchString(i) || strings.HasSuffix(i, "*") {
			return fmt.Errorf("interfaces: %q is not the name of an interface", i)
		}
	}
	if _, err := byFamily("sources", f.Sources); err != nil {
		return err
	}
	return f.onlyNft(backendFirewalld)
}

// wantedZone is what of a zone is declared, over what it is.
func (f *FirewallPolicy) wantedZone(is host.Zone) host.Zone {
	switch f.Input {
	case "accept":
		is.Target = "ACCEPT"
	case "drop":
		is.Target = "DROP"
	}
	if f.Forward != "" {
		is.Forward = f.Forward == "accept"
	}
	if f.Interfaces != nil {
		is.Interfaces = f.Interfaces
	}
	if f.Sources != nil {
		is.Sources = nil
		for _, s := range f.Sources {
			if p, err := netip.ParsePrefix(s); err == nil && p.IsSingleIP() {
				s = p.Addr().String()
			}
			is.Sources = append(is.Sources, s)
		}
	}
	return is
}

// planFirewalld plans the zone in its files, and that firewalld runs with them.
func (f *FirewallPolicy) planFirewalld(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	if err := f.checkFirewalld(); err != nil && f.Ensure != "absent" {
		return p, err
	}
	s, err := readZone(ctx, h, f.Name)
	missing := errors.Is(err, host.ErrNotFound)
	if err != nil && !missing {
		return p, err
	}
	if f.Ensure == "absent" {
		return f.planNoZone(h, s, missing)
	}
	if missing {
		if is, err := look(h, zonesCame); err != nil || is == nil {
			return p, errors.Join(err, noFirewalld(h, fmt.Errorf("finding the zones of firewalld: %w", host.ErrNotFound)))
		}
	}
	t := zoneTurns{zone: "--zone=" + f.Name}
	is := s.permanent
	if missing {
		is = host.Zone{Target: "default", Forward: true} // what a new zone has
		t.do(change.Of("zone", change.Absent, f.Name), s.permanently("--new-zone="+f.Name))
	}
	want := f.wantedZone(is)
	if want.Target != is.Target {
		t.do(change.Of("target", is.Target, want.Target), s.permanently(t.zone, "--set-target="+want.Target))
	}
	anew := len(t.commands) > 0 // firewalld has no other way to learn of a zone or a target
	t.turn("", is, want, s.permanently)
	if s.runs {
		f.planRunning(&t, s, anew)
	}
	if len(t.changes) == 0 {
		return p, nil
	}
	p.Do(func(ctx context.Context) error {
		for _, argv := range t.commands {
			if err := runProgram(ctx, h, argv...); err != nil {
				return err
			}
		}
		return nil
	}, t.changes...)
	return p, nil
}

// zoneTurns are the commands that bring a zone into line, with what they change.
type zoneTurns struct {
	zone     string
	commands [][]string
	changes  []change.Change
}

func (t *zoneTurns) do(c change.Change, argv []string) {
	t.commands, t.changes = append(t.commands, argv), append(t.changes, c)
}

// turn brings what is set in the same way in the files and in firewalld into line.
func (t *zoneTurns) turn(field string, is, want host.Zone, argv func(...string) []string) {
	if want.Forward != is.Forward {
		verb := "--remove-forward"
		if want.Forward {
			verb = "--add-forward"
		}
		t.do(change.Of(field+"forward", is.Forward, want.Forward), argv(t.zone, verb))
	}
	for _, l := range []struct {
		word     string
		is, want []string
	}{{"interface", is.Interfaces, want.Interfaces}, {"source", is.Sources, want.Sources}} {
		add, remove := zoneDiff(l.is, l.want)
		for _, name := range add {
			t.do(change.Of(field+l.word, change.Absent, name), argv(t.zone, "--change-"+l.word+"="+name))
		}
		for _, name := range remove {
			t.do(change.Of(field+l.word, name, change.Absent), argv(t.zone, "--remove-"+l.word+"="+name))
		}
	}
}

// planRunning plans what firewalld runs with. It reads its files anew only for a zone or a target, as that takes away what
// others have put in for now.
func (f *FirewallPolicy) planRunning(t *zoneTurns, s zoneState, anew bool) {
	want := f.wantedZone(s.running)
	reload := []string{"firewall-cmd", "--quiet", "--reload"}
	switch {
	case anew:
		t.commands = append(t.commands, reload)
	case !s.loaded:
		t.do(change.Of("running zone", change.Absent, f.Name), reload)
	case s.running.Target != want.Target:
		t.do(change.Of("running target", s.running.Target, want.Target), reload)
	default:
		t.turn("running ", s.running, want, func(args ...string) []string { return append([]string{"firewall-cmd", "--quiet"}, args...) })
	}
}

// planNoZone plans that a zone goes, unless firewalld came with it.
func (f *FirewallPolicy) planNoZone(h *host.Host, s zoneState, missing bool) (resource.Plan, error) {
	var p resource.Plan
	if !missing && !s.own {
		return p, fault.WithHint(fmt.Errorf("firewalld came with the zone %s, which cannot be removed", f.Name), "declare what it should be instead; what was changed is in "+path.Join(zonesOwn, f.Name+".xml"))
	}
	if missing && !s.loaded {
		return p, nil
	}
	p.Do(func(ctx context.Context) error {
		if !missing {
			if err := runProgram(ctx, h, s.permanently("--delete-zone="+f.Name)...); err != nil {
				return err
			}
		}
		return s.reload(ctx, h)
	}, change.Of("zone", f.Name, change.Absent))
	return p, nil
}
