package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// SystemdTimer is a job that systemd starts by the clock: the unit <name>.timer and, when a command is given, the unit
// <name>.service that runs it. The timer is started and enabled. The schedule is checked by systemd-analyze before it takes
// the place of an old one, where that program is there.
//
//	resources:
//	  - systemd_timer: backup
//	    schedule: "*-*-* 03:00:00"
//	    command: [/usr/local/sbin/backup, --quiet]
//	    random_delay: 15m
//	    persistent: true
type SystemdTimer struct {
	// Name of the timer, without a suffix.
	Name string `vigo:"identity"`

	// Ensure says whether the timer should be there. Absent stops it and removes both units.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Schedule is when the job runs, as systemd.time(7) writes it: daily, Mon..Fri 08:30, *-*-01 04:00:00.
	Schedule string `yaml:"schedule"`

	// AfterBoot runs the job this long after boot.
	AfterBoot *resource.Duration `yaml:"after_boot"`

	// Every runs the job this long after it was started last. Together with after_boot it repeats from boot on.
	Every *resource.Duration `yaml:"every"`

	// RandomDelay puts each run off by a random time up to this, so that a fleet does not act at once.
	RandomDelay *resource.Duration `yaml:"random_delay"`

	// Persistent runs the job at once when a run of its schedule was missed because the machine was off.
	Persistent bool `yaml:"persistent"`

	// Command is the program that runs and its arguments: a list, or a line that is split at white space. A path with
	// slashes. There is no shell.
	Command resource.Argv `yaml:"command"`

	// User the command runs as; root if it is not given.
	User string `yaml:"user"`

	// Unit is what the timer starts, in place of a command; <name>.service by default.
	Unit string `yaml:"unit"`

	// About describes the job, as systemctl shows it.
	About string `yaml:"description"`
}

var (
	_ resource.Validator = (*SystemdTimer)(nil)
	_ resource.Requirer  = (*SystemdTimer)(nil)
	_ resource.Finisher  = (*SystemdTimer)(nil)
)

// Validate implements [resource.Validator].
func (t *SystemdTimer) Validate() error {
	if err := checkUnitName(t.Name + ".timer"); err != nil || strings.Contains(t.Name, "@") {
		return fmt.Errorf("%q is no name for a timer", t.Name)
	}
	if t.Ensure == "absent" {
		return nil
	}
	switch {
	case t.Schedule == "" && t.AfterBoot == nil && t.Every == nil:
		return errors.New(`needs one of the keys "schedule", "after_boot" and "every"`)
	case t.Every != nil && t.Schedule == "" && t.AfterBoot == nil:
		return errors.New(`every counts from the last run: give "after_boot" or "schedule" for the first`)
	case t.Persistent && t.Schedule == "":
		return errors.New("persistent means nothing without schedule")
	case len(t.Command) > 0 && t.Unit != "":
		return errors.New("command and unit exclude each other")
	case t.User != "" && len(t.Command) == 0:
		return errors.New("user means nothing without command")
	case len(t.Command) > 0 && !path.IsAbs(t.Command[0]):
		return fmt.Errorf("command: %q is not an absolute path", t.Command[0])
	case t.User != "" && !cronUser.MatchString(t.User):
		return fmt.Errorf("user: %q is not the name of a user", t.User)
	}
	if t.Unit != "" {
		if err := checkUnitName(t.Unit); err != nil {
			return fmt.Errorf("unit: %w", err)
		}
	}
	for _, arg := range t.Command {
		if err := oneLine("command", arg); err != nil {
			return err
		}
	}
	return errors.Join(oneLine("schedule", t.Schedule), oneLine("description", t.About))
}

// Requires implements [resource.Requirer].
func (t *SystemdTimer) Requires() []resource.ID {
	ids := []resource.ID{{Type: "systemd_unit", Name: t.Name + ".service"}}
	if t.Unit != "" {
		ids[0].Name = t.Unit
	}
	if len(t.Command) > 0 {
		ids = append(ids, resource.ID{Type: "file", Name: t.Command[0]})
	}
	if t.User != "" {
		ids = append(ids, resource.ID{Type: "user", Name: t.User})
	}
	return ids
}

// Plan implements [resource.Resource].
func (t *SystemdTimer) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	timer, service := path.Join(unitFolder, t.Name+".timer"), path.Join(unitFolder, t.Name+".service")
	if t.Ensure == "absent" {
		return t.planAbsent(ctx, h, timer, service)
	}
	var p resource.Plan
	if len(t.Command) > 0 {
		f := ownedFile(service, t.service())
		f.check = verifyUnit(h, t.Name+".service")
		unit, err := unitFilePlan(ctx, h, t.Name+".service", f)
		if err != nil {
			return p, err
		}
		p.Include("service", unit)
	}
	f := ownedFile(timer, t.timer())
	f.check = verifyUnit(h, t.Name+".timer")
	unit, err := unitFilePlan(ctx, h, t.Name+".timer", f)
	if err != nil {
		return resource.Plan{}, err
	}
	p.Include("timer", unit)
	yes := true
	state, err := unitState(ctx, h, t.Name+".timer", &yes, &yes)
	if err != nil {
		return resource.Plan{}, err
	}
	p.Include("", state)
	return p, nil
}

// planAbsent removes the timer, and the service if it is one that a timer with a command has written.
func (t *SystemdTimer) planAbsent(ctx context.Context, h *host.Host, timer, service string) (resource.Plan, error) {
	p, err := unitFileGone(ctx, h, t.Name+".timer", gone(timer))
	if err != nil {
		return p, err
	}
	body, err := h.FS.Read(service, 1<<20)
	if errors.Is(err, host.ErrNotFound) || err == nil && !strings.HasPrefix(string(body), ownedMark) {
		return p, nil
	}
	if err != nil {
		return resource.Plan{}, err
	}
	rest, err := unitFileGone(ctx, h, t.Name+".service", gone(service))
	p.Include("service", rest)
	return p, err
}

func (t *SystemdTimer) timer() string {
	var b strings.Builder
	b.WriteString(ownedMark + "[Unit]\nDescription=" + orWord(t.About, "Timer "+t.Name) + "\n\n[Timer]\n")
	put := func(key, value string) {
		if value != "" {
			b.WriteString(key + "=" + value + "\n")
		}
	}
	span := func(d *resource.Duration) string {
		if d == nil {
			return ""
		}
		return fmt.Sprintf("%gs", d.Seconds())
	}
	put("OnCalendar", t.Schedule)
	put("OnBootSec", span(t.AfterBoot))
	put("OnUnitActiveSec", span(t.Every))
	put("RandomizedDelaySec", span(t.RandomDelay))
	if t.Persistent {
		put("Persistent", "true")
	}
	put("Unit", t.Unit)
	b.WriteString("\n[Install]\nWantedBy=timers.target\n")
	return b.String()
}

func (t *SystemdTimer) service() string {
	var b strings.Builder
	b.WriteString(ownedMark + "[Unit]\nDescription=" + orWord(t.About, "Job "+t.Name) + "\n\n[Service]\nType=oneshot\n")
	if t.User != "" {
		b.WriteString("User=" + t.User + "\n")
	}
	words := slices.Clone(t.Command)
	for i, w := range words {
		words[i] = unitWord(w)
	}
	b.WriteString("ExecStart=" + strings.Join(words, " ") + "\n")
	return b.String()
}

// unitWord quotes a word of a command line so that systemd hands it on as it is: systemd.service(5).
func unitWord(w string) string {
	plain := strings.NewReplacer("%", "%%", "$", "$$", `\`, `\\`, `"`, `\"`, "\t", `\t`).Replace(w)
	if w == "" || plain != w || strings.ContainsAny(w, " ';") {
		return `"` + plain + `"`
	}
	return w
}

// Finish implements [resource.Finisher].
func (t *SystemdTimer) Finish(ctx context.Context, h *host.Host) error { return h.Units.Settle(ctx) }
