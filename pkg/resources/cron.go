package resources

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Cron is a periodic job in a file of its own, /etc/cron.d/vigo-<name>, owned by root, mode 0644.
//
// The crontab of a user, as crontab(1) edits it, is not looked at: a job that is in there too runs twice. Such a job is kept
// with the types file, for owner and mode, and line.
//
//	resources:
//	  - cron: rotate-certs
//	    schedule: "17 3 * * 1-5"
//	    user: root
//	    command: /usr/local/sbin/rotate-certs --quiet
//	    environment: {MAILTO: ops@example.com}
type Cron struct {
	// Name of the job: letters, digits, "-" and "_" only, since cron passes over files with other names.
	Name string `vigo:"identity"`

	// Schedule is when the job runs: five fields (minute, hour, day of month, month, day of week), or one of @reboot,
	// @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually.
	Schedule string `yaml:"schedule"`

	// Command is what runs, as cron hands it to the shell. cron takes a bare "%" for the end of the line, so it must
	// be written as "\%".
	Command string `yaml:"command"`

	// User the job runs as; root if it is not given.
	User string `yaml:"user"`

	// Environment are variables for the job, such as MAILTO.
	Environment map[string]string `yaml:"environment"`

	// Ensure says whether the job should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`
}

var (
	_ resource.Validator = (*Cron)(nil)
	_ resource.Requirer  = (*Cron)(nil)

	cronName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	cronVar  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	cronUser = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*\$?$`)
)

// Validate implements [resource.Validator].
func (c *Cron) Validate() error {
	if !cronName.MatchString(c.Name) {
		return fmt.Errorf("%q is no name for a job: want letters, digits, \"-\" and \"_\"", c.Name)
	}
	if c.Ensure == "absent" {
		return nil
	}
	if c.Schedule == "" || strings.TrimSpace(c.Command) == "" {
		return errors.New("needs the keys \"schedule\" and \"command\"")
	}
	if c.User != "" && !cronUser.MatchString(c.User) {
		return fmt.Errorf("user: %q is not the name of a user", c.User)
	}
	if err := oneLine("command", c.Command); err != nil {
		return err
	}
	if strings.Contains(strings.ReplaceAll(c.Command, `\%`, ""), "%") {
		return fault.WithHint(errors.New("command: cron takes a bare % for the end of the line"), `write \%`)
	}
	for name, value := range c.Environment {
		if !cronVar.MatchString(name) {
			return fmt.Errorf("environment: %q is not the name of a variable", name)
		}
		if err := oneLine("environment", value); err != nil {
			return err
		}
	}
	if err := cronSchedule(c.Schedule); err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	return nil
}

// cronSchedule checks a schedule as crontab(5) defines it.
func cronSchedule(s string) error {
	if strings.HasPrefix(s, "@") {
		known := []string{"@reboot", "@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}
		if !slices.Contains(known, s) {
			return fault.WithHint(fmt.Errorf("%q is not known", s), fault.DidYouMean(s, known))
		}
		return nil
	}
	ranges := []struct {
		name      string
		low, high int
		names     string
	}{
		{"minute", 0, 59, ""}, {"hour", 0, 23, ""}, {"day of month", 1, 31, ""},
		{"month", 1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"},
		{"day of week", 0, 7, "sun mon tue wed thu fri sat"},
	}
	fields := strings.Fields(s)
	if len(fields) != len(ranges) || strings.ContainsAny(s, "\n\r") {
		return fmt.Errorf("%q has %d fields: want five (minute, hour, day of month, month, day of week)", s, len(fields))
	}
	for i, r := range ranges {
		for item := range strings.SplitSeq(fields[i], ",") {
			if err := cronItem(item, r.low, r.high, strings.Fields(r.names)); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	return nil
}

// cronItem checks one item of a field: *, n, a-b, each with /step.
func cronItem(item string, low, high int, names []string) error {
	span, step, stepped := strings.Cut(item, "/")
	if n, err := strconv.Atoi(step); stepped && (err != nil || n < 1 || n > high) {
		return fmt.Errorf("%q is no step between 1 and %d", step, high)
	}
	if span == "*" {
		return nil
	}
	from, to, isRange := strings.Cut(span, "-")
	if stepped && !isRange {
		return fmt.Errorf("%q: a step needs * or a range before it", item)
	}
	number := func(s string) (int, error) {
		if i := slices.Index(names, strings.ToLower(s)); i >= 0 {
			return low + i, nil
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("%q is not between %d and %d", s, low, high)
		}
		return n, nil
	}
	a, err := number(from)
	if err != nil || !isRange {
		return err
	}
	b, err := number(to)
	if err == nil && b < a {
		err = fmt.Errorf("%q runs backwards", span)
	}
	return err
}

// Requires implements [resource.Requirer].
func (c *Cron) Requires() []resource.ID {
	ids := []resource.ID{{Type: "package", Name: "cron"}, {Type: "package", Name: "cronie"}}
	if c.User != "" {
		ids = append(ids, resource.ID{Type: "user", Name: c.User})
	}
	return ids
}

// Plan implements [resource.Resource].
func (c *Cron) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	name := "/etc/cron.d/vigo-" + c.Name
	if c.Ensure == "absent" {
		return (&File{Path: name, Ensure: "absent"}).Plan(ctx, h)
	}
	body := c.body()
	return (&File{Path: name, Content: &body, Mode: &resource.Mode{Perm: 0o644}, Owner: "0", Group: "0"}).Plan(ctx, h)
}

// body is the file.
func (c *Cron) body() string {
	var b strings.Builder
	b.WriteString("# Written by Vigo, changes are taken back.\n")
	for _, name := range slices.Sorted(maps.Keys(c.Environment)) {
		fmt.Fprintf(&b, "%s=%s\n", name, c.Environment[name])
	}
	user := c.User
	if user == "" {
		user = "root"
	}
	fmt.Fprintf(&b, "%s %s %s\n", c.Schedule, user, c.Command)
	return b.String()
}
