package resources

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// LoginLimits bounds what the sessions of a user or group may use, as limits.conf(5) says: a file of its own,
// /etc/security/limits.d/<name>.conf. Limits hold from the next login on. Services of systemd are not bound by them.
//
//	resources:
//	  - login_limits: 50-database
//	    domain: postgres
//	    limits:
//	      - {item: nofile, soft: 65536, hard: 65536}
//	      - {item: core, value: 0}
type LoginLimits struct {
	// Name of the file without its end. Files are read in the order of their names; a later one wins.
	Name string `vigo:"identity"`

	// Ensure says whether the limits should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Domain is whom the limits are for: a user, a group as @group, everybody as "*" (but root), or a range of
	// numbers such as 1000:2000.
	Domain string `yaml:"domain"`

	// Limits are what is bounded.
	Limits []LoginLimit `yaml:"limits"`
}

// LoginLimit is one limit.
type LoginLimit struct {
	// Item is what is bounded, such as nofile, nproc, core, memlock, maxlogins or priority.
	Item string `yaml:"item" vigo:"required"`

	// Soft is the limit that holds at first: a number or unlimited.
	Soft any `yaml:"soft"`

	// Hard is the limit up to which the user may raise the soft one.
	Hard any `yaml:"hard"`

	// Value is both limits at once.
	Value any `yaml:"value"`
}

var (
	_ resource.Validator = (*LoginLimits)(nil)
	_ resource.Requirer  = (*LoginLimits)(nil)

	limitDomain = regexp.MustCompile(`^([@%]?[A-Za-z_][A-Za-z0-9_.-]*\$?|\*|%|[@%]?:?[0-9]+|[@%]?[0-9]+:[0-9]*)$`)
)

// limitItems are those of limits.conf(5).
func limitItems() []string {
	return []string{"core", "data", "fsize", "memlock", "nofile", "rss", "stack", "cpu", "nproc", "as", "maxlogins", "maxsyslogins",
		"nonewprivs", "priority", "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime", "chroot"}
}

// Validate implements [resource.Validator].
func (l *LoginLimits) Validate() error {
	if !plainWord(l.Name, ".") {
		return fmt.Errorf("%q cannot be the name of a file of limits", l.Name)
	}
	if l.Ensure == "absent" {
		return nil
	}
	if l.Domain == "" || len(l.Limits) == 0 {
		return errors.New(`needs the keys "domain" and "limits"`)
	}
	if !limitDomain.MatchString(l.Domain) {
		return fault.WithHint(fmt.Errorf("domain: %q is not a user, @group or range of numbers", l.Domain), `everybody is "*"`)
	}
	seen := map[string]bool{}
	for _, one := range l.Limits {
		if err := one.check(); err != nil {
			return fmt.Errorf("limits: %w", err)
		}
		if seen[one.Item] {
			return fmt.Errorf("limits: %s is there twice", one.Item)
		}
		seen[one.Item] = true
	}
	return nil
}

func (l LoginLimit) check() error {
	if !slices.Contains(limitItems(), l.Item) {
		return fault.WithHint(fmt.Errorf("%q is not a thing limits.conf(5) knows", l.Item), fault.DidYouMean(l.Item, limitItems()))
	}
	if l.Value != nil && (l.Soft != nil || l.Hard != nil) {
		return fmt.Errorf("%s: value excludes soft and hard", l.Item)
	}
	if l.Value == nil && l.Soft == nil && l.Hard == nil {
		return fmt.Errorf("%s: needs value, or soft or hard", l.Item)
	}
	var numbers [2]int64
	for i, v := range []any{l.Soft, l.Hard, l.Value} {
		if v == nil {
			continue
		}
		n, err := limitNumber(limitText(v), l.Item == "chroot")
		if err != nil {
			return fmt.Errorf("%s: %w", l.Item, err)
		}
		if i < 2 {
			numbers[i] = n
		}
	}
	if l.Soft != nil && l.Hard != nil && l.Item != "nice" && numbers[1] >= 0 && (numbers[0] > numbers[1] || numbers[0] < 0) {
		return fmt.Errorf("%s: the soft limit is above the hard one", l.Item)
	}
	return nil
}

// limitNumber reads a limit; -1 is none.
func limitNumber(text string, free bool) (int64, error) {
	switch text {
	case "unlimited", "infinity", "-1":
		return -1, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if free && !strings.ContainsAny(text, " \t\r\n#") && text != "" {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("%q is neither a whole number nor unlimited", text)
	}
	return n, nil
}

// limitText renders a value as written; numbers of JSON have no fraction here.
func limitText(v any) string {
	if f, ok := v.(float64); ok && f == float64(int64(f)) {
		return strconv.FormatInt(int64(f), 10)
	}
	return fmt.Sprint(v)
}

// Requires implements [resource.Requirer].
func (l *LoginLimits) Requires() []resource.ID {
	return []resource.ID{{Type: "package", Name: "libpam-modules"}}
}

// Plan implements [resource.Resource].
func (l *LoginLimits) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var b strings.Builder
	b.WriteString(ownedMark)
	for _, one := range l.Limits {
		for _, v := range []struct {
			kind  string
			value any
		}{{"soft", one.Soft}, {"hard", one.Hard}, {"-", one.Value}} {
			if v.value != nil {
				fmt.Fprintf(&b, "%s %s %s %s\n", l.Domain, v.kind, one.Item, limitText(v.value))
			}
		}
	}
	name := "/etc/security/limits.d/" + l.Name + ".conf"
	if l.Ensure == "absent" {
		return gone(name).Plan(ctx, h)
	}
	return ownedFile(name, b.String()).Plan(ctx, h)
}
