//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/host"
)

// In another root folder the account files are edited here: the programs of the shadow suite need privileges even
// with --prefix, and would ask the name services of the wrong machine.

// lockAccounts takes the lock of lckpwdf(3), so that programs inside the root folder and this one take turns.
func (a *accounts) lockAccounts() (unlock func(), err error) {
	const name = "/etc/.pwd.lock"
	dirfd, base, err := a.fs.tree.dir(name)
	if err != nil {
		return nil, failed("locking", name, err)
	}
	defer unix.Close(dirfd)
	fd, err := unix.Openat(dirfd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, failed("locking", name, err)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &lock); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("locking %s: %w: another program changes accounts", name, host.ErrBusy)
	}
	return func() { unix.Close(fd) }, nil
}

func (a *accounts) editUser(ctx context.Context, c host.AccountChange) error {
	if err := cleanFields(c.User, c.Comment, c.Home, c.Shell, c.Password); err != nil {
		return err
	}
	unlock, err := a.lockAccounts()
	if err != nil {
		return err
	}
	defer unlock()
	a.forget()
	db, err := a.database()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(db.users, func(u host.User) bool { return u.Name == c.User })
	u := host.User{Name: c.User, UID: -1, Home: "/home/" + c.User, Shell: "/bin/sh", Password: "!"}
	if at >= 0 {
		u = db.users[at]
	}
	if u.Password == host.UnknownPassword {
		return fmt.Errorf("reading %s: %w", shadowFile, fs.ErrPermission)
	}
	if err := a.applyUser(ctx, &u, c, &db); err != nil {
		return err
	}
	if err := a.writePasswd(ctx, u, c); err != nil {
		return err
	}
	if c.Groups != nil {
		for _, g := range *c.Groups {
			if !slices.ContainsFunc(db.groups, func(have host.Group) bool { return have.Name == g }) {
				return fmt.Errorf("group %s: %w", g, host.ErrNotFound)
			}
		}
		if err := a.join(ctx, u.Name, *c.Groups); err != nil {
			return err
		}
	}
	if at < 0 && c.MakeHome {
		return a.makeHome(ctx, u)
	}
	return nil
}

// applyUser puts the wanted fields into u, choosing numbers where none are given.
func (a *accounts) applyUser(ctx context.Context, u *host.User, c host.AccountChange, db *database) error {
	created := u.UID < 0
	if c.UID != nil {
		for _, other := range db.users {
			if other.UID == *c.UID && other.Name != u.Name {
				return fmt.Errorf("uid %d belongs to %s", *c.UID, other.Name)
			}
		}
		u.UID = *c.UID
	} else if created {
		taken := map[int]bool{}
		for _, other := range db.users {
			taken[other.UID] = true
		}
		u.UID = freeNumber(taken, c.System)
	}
	gid, err := a.primaryOf(ctx, u, c, db, created)
	if err != nil {
		return err
	}
	u.GID = gid
	for _, f := range []struct {
		to   *string
		from *string
	}{{&u.Comment, c.Comment}, {&u.Home, c.Home}, {&u.Shell, c.Shell}, {&u.Password, c.Password}, {&u.Expires, c.Expires}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	return nil
}

// primaryOf finds the number of the primary group; a new user without one gets a group of its own name.
func (a *accounts) primaryOf(ctx context.Context, u *host.User, c host.AccountChange, db *database, created bool) (int, error) {
	want := primary(c)
	if want == nil && !created {
		return u.GID, nil
	}
	name := u.Name
	if want != nil {
		name = *want
	}
	for _, g := range db.groups {
		if g.Name == name || strconv.Itoa(g.GID) == name {
			return g.GID, nil
		}
	}
	if want != nil {
		return 0, fmt.Errorf("group %s: %w", name, host.ErrNotFound)
	}
	taken := map[int]bool{}
	for _, g := range db.groups {
		taken[g.GID] = true
	}
	gid := u.UID
	if taken[gid] {
		gid = freeNumber(taken, c.System)
	}
	db.groups = append(db.groups, host.Group{Name: name, GID: gid})
	return gid, a.putLine(ctx, groupFile, 0o644, name, fmt.Sprintf("%s:x:%d:", name, gid))
}

// freeNumber chooses like useradd(8) with the ranges of login.defs(5) as shipped.
func freeNumber(taken map[int]bool, system bool) int {
	if system {
		for n := 999; n >= 100; n-- {
			if !taken[n] {
				return n
			}
		}
	}
	highest := 999
	for n := range taken {
		if n > highest && n < 60000 {
			highest = n
		}
	}
	return highest + 1
}

func (a *accounts) writePasswd(ctx context.Context, u host.User, c host.AccountChange) error {
	days, err := daysOf(u.Expires)
	if err != nil {
		return err
	}
	shadow, err := a.line(shadowFile, u.Name, 9)
	if err != nil {
		return err
	}
	if shadow == nil {
		shadow = []string{u.Name, "!", strconv.FormatInt(a.m.now().Unix()/86400, 10), "0", "99999", "7", "", "", ""}
	}
	shadow[1], shadow[7] = u.Password, days
	aging := host.Aging{Min: shadow[3], Max: shadow[4], Warn: shadow[5], Inactive: shadow[6]}.With(c.Aging)
	shadow[3], shadow[4], shadow[5], shadow[6] = aging.Min, aging.Max, aging.Warn, aging.Inactive
	if err := a.putLine(ctx, shadowFile, 0o640, u.Name, strings.Join(shadow, ":")); err != nil {
		return err
	}
	line := strings.Join([]string{u.Name, "x", strconv.Itoa(u.UID), strconv.Itoa(u.GID), u.Comment, u.Home, u.Shell}, ":")
	return a.putLine(ctx, passwdFile, 0o644, u.Name, line)
}

func (a *accounts) editGroup(ctx context.Context, c host.AccountChange) error {
	if err := cleanFields(c.Group); err != nil {
		return err
	}
	unlock, err := a.lockAccounts()
	if err != nil {
		return err
	}
	defer unlock()
	a.forget()
	db, err := a.database()
	if err != nil {
		return err
	}
	g := host.Group{Name: c.Group, GID: -1}
	taken := map[int]bool{}
	for _, have := range db.groups {
		if have.Name == c.Group {
			g = have
			continue
		}
		taken[have.GID] = true
		if c.GID != nil && have.GID == *c.GID {
			return fmt.Errorf("gid %d belongs to %s", *c.GID, have.Name)
		}
	}
	switch {
	case c.GID != nil:
		g.GID = *c.GID
	case g.GID < 0:
		g.GID = freeNumber(taken, c.System)
	}
	if c.Members != nil {
		g.Members = *c.Members
	}
	for _, m := range g.Members {
		if err := cleanFields(m); err != nil {
			return err
		}
	}
	return a.putLine(ctx, groupFile, 0o644, g.Name, fmt.Sprintf("%s:x:%d:%s", g.Name, g.GID, strings.Join(g.Members, ",")))
}

func (a *accounts) editDrop(ctx context.Context, d host.AccountDrop) error {
	unlock, err := a.lockAccounts()
	if err != nil {
		return err
	}
	defer unlock()
	a.forget()
	if d.Group != "" {
		return a.dropLine(ctx, groupFile, 0o644, d.Group)
	}
	u, err := a.User(ctx, d.User)
	if err != nil {
		return err
	}
	if err := a.join(ctx, d.User, nil); err != nil {
		return err
	}
	if err := a.dropLine(ctx, passwdFile, 0o644, d.User); err != nil {
		return err
	}
	if err := a.dropLine(ctx, shadowFile, 0o640, d.User); err != nil {
		return err
	}
	if err := a.dropOwnGroup(ctx, u); err != nil {
		return err
	}
	if d.RemoveHome && path.Clean(u.Home) == u.Home && strings.Count(u.Home, "/") > 1 {
		return a.fs.Remove(ctx, u.Home, true)
	}
	return nil
}

// dropOwnGroup removes the group of the user's own name, as userdel(8) does, if nobody else is in it.
func (a *accounts) dropOwnGroup(ctx context.Context, u host.User) error {
	a.forget()
	db, err := a.database()
	if err != nil {
		return err
	}
	for _, other := range db.users {
		if other.GID == u.GID {
			return nil
		}
	}
	for _, g := range db.groups {
		if g.Name == u.Name && g.GID == u.GID && len(g.Members) == 0 {
			return a.dropLine(ctx, groupFile, 0o644, g.Name)
		}
	}
	return nil
}

// cleanFields refuses values that would break a line of an account file.
func cleanFields(name string, values ...*string) error {
	if name == "" || strings.ContainsAny(name, ":\n, /") || strings.HasPrefix(name, "-") {
		return fmt.Errorf("%q is not an account name", name)
	}
	for _, v := range values {
		if v != nil && strings.ContainsAny(*v, ":\n") {
			return errors.New("a value holds a colon or a line break")
		}
	}
	return nil
}
