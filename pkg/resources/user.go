package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// User is a local user account.
//
//	resources:
//	  - user: deploy
//	    uid: 2001
//	    groups: [www-data]
//	    shell: /bin/bash
//	    manage_home: true
type User struct {
	// Name of the user.
	Name string `vigo:"identity"`

	// Ensure says whether the account should be present (the default) or absent.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// UID is the number of the user. If unset, the system chooses one.
	UID *int `yaml:"uid"`

	// Group is the primary group, by name or number. A new user without one gets a group of its own name.
	Group string `yaml:"group"`

	// Groups are the supplementary groups the user must be a member of.
	Groups []string `yaml:"groups"`

	// GroupsOnly makes groups the whole list: the user is taken out of all others.
	GroupsOnly bool `yaml:"groups_only"`

	// Comment is the full name or a description (GECOS).
	Comment *string `yaml:"comment"`

	// Home is the home directory.
	Home *string `yaml:"home"`

	// ManageHome creates the home directory with the account, and removes it with the account.
	ManageHome bool `yaml:"manage_home"`

	// Shell is the login shell.
	Shell *string `yaml:"shell"`

	// Password is a hash as in shadow(5), such as that printed by "mkpasswd -m yescrypt". Never a password in clear.
	Password string `yaml:"password" vigo:"secret"`

	// Expires is the day the account expires, as 2006-01-02, or never.
	Expires string `yaml:"expires"`

	// PasswordMinDays is how many days must pass before the password may be changed again; -1 takes the limit away.
	PasswordMinDays *int `yaml:"password_min_days"`

	// PasswordMaxDays is after how many days the password must be changed; -1 takes the limit away.
	PasswordMaxDays *int `yaml:"password_max_days"`

	// PasswordWarnDays is how many days before that the user is warned; -1 takes the limit away.
	PasswordWarnDays *int `yaml:"password_warn_days"`

	// PasswordInactiveDays is how many days after that one may still log in and change it; -1 takes the limit away.
	PasswordInactiveDays *int `yaml:"password_inactive_days"`

	// Locked says whether the password is locked. If unset, a lock is left alone. Other ways to log in, such as SSH
	// keys, are not locked by it.
	Locked *bool `yaml:"locked"`

	// PurgeSSHKeys takes every key out of ~/.ssh/authorized_keys and authorized_keys2 that no authorized_key of the policy
	// declares for the user.
	PurgeSSHKeys bool `yaml:"purge_ssh_keys"`

	// System takes the number of a new user from the range of system accounts.
	System bool `yaml:"system"`

	keys       []string // of the user, in the policy
	acquainted bool
}

var (
	_ resource.Validator = (*User)(nil)
	_ resource.Requirer  = (*User)(nil)
)

// Validate implements [resource.Validator].
func (u *User) Validate() error {
	if err := accountName("user", u.Name); err != nil {
		return err
	}
	if u.Ensure == "absent" && u.Name == "root" {
		return errors.New("the user root cannot be removed")
	}
	if u.Ensure == "absent" && u.PurgeSSHKeys {
		return errors.New("the keys of a user that is to be absent are not purged: manage_home removes its home")
	}
	if u.Expires != "" && u.Expires != "never" {
		if _, err := time.Parse(time.DateOnly, u.Expires); err != nil {
			return fmt.Errorf("expires: %q is neither never nor a day such as 2006-01-02", u.Expires)
		}
	}
	for key, days := range map[string]*int{"min": u.PasswordMinDays, "max": u.PasswordMaxDays, "warn": u.PasswordWarnDays, "inactive": u.PasswordInactiveDays} {
		if days != nil && (*days < -1 || *days > 99999) {
			return fmt.Errorf("password_%s_days: %d is not between -1 and 99999", key, *days)
		}
	}
	if u.UID != nil && *u.UID < 0 {
		return fmt.Errorf("uid: %d is negative", *u.UID)
	}
	for _, s := range []*string{u.Comment, u.Home, u.Shell, &u.Password} {
		if s != nil && strings.ContainsAny(*s, ":\n") {
			return errors.New("comment, home, shell and password may not hold a colon or a line break")
		}
	}
	if u.Home != nil && (!path.IsAbs(*u.Home) || path.Clean(*u.Home) != *u.Home) {
		return fmt.Errorf("home: %q is not an absolute, clean path", *u.Home)
	}
	if u.Password != "" && !strings.ContainsAny(u.Password[:1], "$!*_") {
		return fault.WithHint(errors.New("password is not a hash as in shadow(5)"), `make one with "mkpasswd -m yescrypt" or "openssl passwd -6"`)
	}
	return nil
}

// Requires implements [resource.Requirer]: the groups come first, and the directory the home is made in.
func (u *User) Requires() []resource.ID {
	var ids []resource.ID
	if u.Ensure == "absent" {
		return nil
	}
	for _, g := range append([]string{u.Group}, u.Groups...) {
		if g != "" {
			ids = append(ids, resource.ID{Type: "group", Name: g})
		}
	}
	if u.Home != nil {
		ids = append(ids, resource.ID{Type: "directory", Name: path.Dir(*u.Home)})
	}
	if u.Shell != nil {
		ids = append(ids, resource.ID{Type: "package", Name: path.Base(*u.Shell)})
	}
	return ids
}

// Plan implements [resource.Resource].
func (u *User) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var plan resource.Plan
	is, err := h.Accounts.User(ctx, u.Name)
	exists := err == nil
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return plan, err
	}
	if u.Ensure == "absent" {
		if exists {
			drop := host.AccountDrop{User: u.Name, RemoveHome: u.ManageHome}
			plan.Do(func(ctx context.Context) error { return h.Accounts.Drop(ctx, drop) }, change.Of("ensure", "present", change.Absent))
		}
		return plan, nil
	}
	want := host.AccountChange{User: u.Name, System: u.System, MakeHome: u.ManageHome}
	changes, err := u.compare(ctx, h, is, &want)
	if err != nil {
		return plan, err
	}
	if !exists {
		changes = append([]change.Change{change.Of("ensure", change.Absent, "present")}, changes...)
	}
	if len(changes) > 0 {
		plan.Do(func(ctx context.Context) error { return h.Accounts.Put(ctx, want) }, changes...)
	}
	if u.PurgeSSHKeys && exists {
		if err := u.planKeys(h, &plan, is.Home); err != nil {
			return resource.Plan{}, err
		}
	}
	return plan, nil
}

// compare puts what differs into want and returns the differences. For a user that is not there, is is the zero User.
func (u *User) compare(ctx context.Context, h *host.Host, is host.User, want *host.AccountChange) ([]change.Change, error) {
	fresh := is.Name == ""
	var changes []change.Change
	differs := func(field, from, to string) {
		if fresh {
			from = change.Absent
		}
		changes = append(changes, change.Of(field, from, to))
	}
	if u.UID != nil && (fresh || is.UID != *u.UID) {
		want.UID = u.UID
		differs("uid", strconv.Itoa(is.UID), strconv.Itoa(*u.UID))
	}
	if u.Group != "" {
		from, same, err := u.primary(ctx, h, is)
		if err != nil {
			return nil, err
		}
		if fresh || !same {
			want.Primary = &u.Group
			differs("group", from, u.Group)
		}
	}
	if groups := u.groups(is); !slices.Equal(groups, is.Groups) {
		want.Groups = &groups
		differs("groups", accountList(is.Groups), accountList(groups))
	}
	for _, f := range []struct {
		name string
		want *string
		is   string
		to   **string
	}{
		{"comment", u.Comment, is.Comment, &want.Comment},
		{"home", u.Home, is.Home, &want.Home},
		{"shell", u.Shell, is.Shell, &want.Shell},
	} {
		if f.want != nil && (fresh || f.is != *f.want) {
			*f.to = f.want
			differs(f.name, f.is, *f.want)
		}
	}
	if expires := strings.TrimPrefix(u.Expires, "never"); u.Expires != "" && is.Expires != expires {
		want.Expires = &expires
		differs("expires", orWord(is.Expires, "never"), u.Expires)
	}
	aging, err := u.aging(is, fresh, want)
	if err != nil {
		return nil, err
	}
	more, err := u.password(is, fresh, want)
	return slices.Concat(changes, aging, more), err
}

// primary returns the primary group for people, and whether it is the declared one.
func (u *User) primary(ctx context.Context, h *host.Host, is host.User) (name string, same bool, err error) {
	_, groups, err := h.Accounts.All(ctx)
	if err != nil {
		return "", false, err
	}
	name = strconv.Itoa(is.GID)
	same = u.Group == name
	for _, g := range groups {
		if g.GID == is.GID {
			name = g.Name
			same = same || g.Name == u.Group
		}
	}
	return name, same, nil
}

// groups is the supplementary groups there should be, sorted.
func (u *User) groups(is host.User) []string {
	groups := slices.Clone(u.Groups)
	if !u.GroupsOnly {
		groups = append(groups, is.Groups...)
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

// password compares password and lock. A lock is a "!" before the hash.
func (u *User) password(is host.User, fresh bool, want *host.AccountChange) ([]change.Change, error) {
	if u.Password == "" && u.Locked == nil {
		return nil, nil
	}
	if is.Password == host.UnknownPassword {
		return nil, fault.WithHint(fmt.Errorf("reading the password of user %s: not permitted", u.Name), "run as root")
	}
	is.Password = strings.TrimSpace(is.Password)
	hash, lockedNow := strings.CutPrefix(is.Password, "!")
	lockedNow = lockedNow || strings.HasPrefix(is.Password, "*")
	locked, secret := lockedNow, hash
	if u.Password != "" {
		// The "!" of an account that never had a password is no lock that somebody has set.
		secret, locked = strings.CutPrefix(u.Password, "!")
		locked = locked || lockedNow && hash != ""
	}
	if u.Locked != nil {
		locked = *u.Locked
	}
	if !locked && secret == "" {
		err := fmt.Errorf("unlocking user %s: it has no password, so anybody could log in", u.Name)
		return nil, fault.WithHint(err, "declare a password too")
	}
	to := secret
	if locked && !strings.HasPrefix(secret, "*") {
		to = "!" + secret
	}
	if to == is.Password {
		return nil, nil
	}
	want.Password = &to
	var changes []change.Change
	if secret != hash {
		changes = append(changes, change.Secret("password"))
	}
	if locked != lockedNow || len(changes) == 0 {
		changes = append(changes, change.Of("locked", !fresh && lockedNow, locked))
	}
	return changes, nil
}

func accountList(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ",")
}

// accountName refuses what useradd(8) would.
func accountName(kind, name string) error {
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
		later := r >= '0' && r <= '9' || r == '-' || r == '.' || r == '$'
		if !letter && (i == 0 || !later) {
			return fmt.Errorf("%q is not the name of a %s", name, kind)
		}
	}
	if len(name) > 32 {
		return fmt.Errorf("%q is longer than 32 letters", name)
	}
	return nil
}
