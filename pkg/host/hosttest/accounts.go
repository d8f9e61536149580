package hosttest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"strconv"

	"vigo.dev/pkg/host"
)

// group is one group; its members are kept here alone, also for host.User.Groups.
type group struct {
	gid     int
	members []string
}

// accounts implements host.Accounts.
type accounts struct{ m *Machine }

var _ host.Accounts = accounts{}

// User implements host.Accounts.
func (a accounts) User(_ context.Context, name string) (host.User, error) {
	a.m.mu.Lock()
	defer a.m.mu.Unlock()
	if err := a.m.failure("accounts", name); err != nil {
		return host.User{}, fmt.Errorf("user %s: %w", name, err)
	}
	u := a.m.users[name]
	if u == nil {
		return host.User{}, notFound("user", name)
	}
	return a.m.user(u), nil
}

// user copies a user with its supplementary groups.
func (m *Machine) user(u *host.User) host.User {
	c := *u
	c.Groups = nil
	for name, g := range m.groups {
		if slices.Contains(g.members, u.Name) {
			c.Groups = append(c.Groups, name)
		}
	}
	sort.Strings(c.Groups)
	return c
}

// Group implements host.Accounts.
func (a accounts) Group(_ context.Context, name string) (host.Group, error) {
	a.m.mu.Lock()
	defer a.m.mu.Unlock()
	if err := a.m.failure("accounts", name); err != nil {
		return host.Group{}, fmt.Errorf("group %s: %w", name, err)
	}
	g := a.m.groups[name]
	if g == nil {
		return host.Group{}, notFound("group", name)
	}
	return g.export(name), nil
}

func (g *group) export(name string) host.Group {
	members := slices.Clone(g.members)
	sort.Strings(members)
	return host.Group{Name: name, GID: g.gid, Members: members}
}

// All implements host.Accounts.
func (a accounts) All(context.Context) ([]host.User, []host.Group, error) {
	a.m.mu.Lock()
	defer a.m.mu.Unlock()
	if err := a.m.failure("accounts", ""); err != nil {
		return nil, nil, err
	}
	var users []host.User
	var groups []host.Group
	for _, name := range sortedKeys(a.m.users) {
		users = append(users, a.m.user(a.m.users[name]))
	}
	for _, name := range sortedKeys(a.m.groups) {
		groups = append(groups, a.m.groups[name].export(name))
	}
	return users, groups, nil
}

// Put implements host.Accounts.
func (a accounts) Put(_ context.Context, c host.AccountChange) error {
	a.m.mu.Lock()
	defer a.m.mu.Unlock()
	if (c.User == "") == (c.Group == "") {
		return errors.New("putting an account: want exactly one of user and group")
	}
	if c.Group != "" {
		a.m.wrote("put group %s", c.Group)
		if err := a.m.failure("accounts put", c.Group); err != nil {
			return fmt.Errorf("putting group %s: %w", c.Group, err)
		}
		return a.m.putGroup(c)
	}
	a.m.wrote("put user %s", c.User)
	if err := a.m.failure("accounts put", c.User); err != nil {
		return fmt.Errorf("putting user %s: %w", c.User, err)
	}
	return a.m.putUser(c)
}

func (m *Machine) putGroup(c host.AccountChange) error {
	if c.GID != nil {
		for name, other := range m.groups {
			if name != c.Group && other.gid == *c.GID {
				return fmt.Errorf("putting group %s: gid %d is %s's", c.Group, *c.GID, name)
			}
		}
	}
	if c.Members != nil {
		for _, member := range *c.Members {
			if m.users[member] == nil {
				return fmt.Errorf("putting group %s: %w", c.Group, notFound("user", member))
			}
		}
	}
	g := m.groups[c.Group]
	if g == nil {
		g = &group{gid: m.freeNumber(c.System)}
		m.groups[c.Group] = g
	}
	if c.GID != nil {
		g.gid = *c.GID
	}
	if c.Members != nil {
		g.members = slices.Clone(*c.Members)
	}
	return nil
}

func (m *Machine) putUser(c host.AccountChange) error {
	if c.Groups != nil {
		for _, name := range *c.Groups {
			if m.groups[name] == nil {
				return fmt.Errorf("putting user %s: %w", c.User, notFound("group", name))
			}
		}
	}
	u := m.users[c.User]
	fresh := u == nil
	if fresh {
		u = &host.User{Name: c.User, UID: m.freeNumber(c.System), Home: "/home/" + c.User, Shell: "/bin/sh", GID: -1}
	} else {
		kept := *u
		u = &kept
	}
	set(&u.UID, c.UID)
	set(&u.Comment, c.Comment)
	set(&u.Home, c.Home)
	set(&u.Shell, c.Shell)
	set(&u.Password, c.Password)
	set(&u.Expires, c.Expires)
	u.Aging = u.Aging.With(c.Aging)
	for name, other := range m.users {
		if name != u.Name && other.UID == u.UID {
			return fmt.Errorf("putting user %s: uid %d is %s's", u.Name, u.UID, name)
		}
	}
	if err := m.primary(u, c); err != nil {
		return fmt.Errorf("putting user %s: %w", u.Name, err)
	}
	m.users[u.Name] = u
	if c.Groups != nil {
		m.join(u.Name, *c.Groups)
	}
	if fresh && c.MakeHome && m.nodes[u.Home] == nil {
		m.imply(u.Home)
		m.nodes[u.Home] = &node{kind: host.Dir, mode: fs.FileMode(0o700), uid: u.UID, gid: u.GID}
	}
	return nil
}

// primary sets the primary group; a new user that names none gets a group of its own name.
func (m *Machine) primary(u *host.User, c host.AccountChange) error {
	switch {
	case c.Primary != nil:
		if g := m.groups[*c.Primary]; g != nil {
			u.GID = g.gid
			return nil
		}
		gid, err := strconv.Atoi(*c.Primary)
		if err != nil {
			return notFound("group", *c.Primary)
		}
		u.GID = gid
	case c.GID != nil:
		u.GID = *c.GID
	case u.GID == -1:
		if m.groups[u.Name] == nil {
			m.groups[u.Name] = &group{gid: m.freeNumber(c.System)}
		}
		u.GID = m.groups[u.Name].gid
	}
	return nil
}

// join makes the supplementary groups of a user exactly these.
func (m *Machine) join(user string, groups []string) {
	for name, g := range m.groups {
		g.members = slices.DeleteFunc(g.members, func(s string) bool { return s == user })
		if slices.Contains(groups, name) {
			g.members = append(g.members, user)
		}
	}
}

// freeNumber returns the lowest number that is neither a uid nor a gid.
func (m *Machine) freeNumber(system bool) int {
	taken := map[int]bool{}
	for _, u := range m.users {
		taken[u.UID], taken[u.GID] = true, true
	}
	for _, g := range m.groups {
		taken[g.gid] = true
	}
	n := 1000
	if system {
		n = 100
	}
	for taken[n] {
		n++
	}
	return n
}

// Drop implements host.Accounts.
func (a accounts) Drop(_ context.Context, c host.AccountDrop) error {
	a.m.mu.Lock()
	defer a.m.mu.Unlock()
	if c.Group != "" {
		a.m.wrote("drop group %s", c.Group)
		g := a.m.groups[c.Group]
		for _, u := range a.m.users {
			if g != nil && u.GID == g.gid {
				return fmt.Errorf("dropping group %s: is the primary group of user %s", c.Group, u.Name)
			}
		}
		delete(a.m.groups, c.Group)
		return nil
	}
	a.m.wrote("drop user %s", c.User)
	u := a.m.users[c.User]
	if u == nil {
		return nil
	}
	a.m.join(u.Name, nil)
	delete(a.m.users, u.Name)
	if own := a.m.groups[u.Name]; own != nil && own.gid == u.GID && len(own.members) == 0 {
		delete(a.m.groups, u.Name)
	}
	if c.RemoveHome {
		a.m.removeTree(u.Home)
	}
	return nil
}

func set[T any](dst *T, v *T) {
	if v != nil {
		*dst = *v
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
