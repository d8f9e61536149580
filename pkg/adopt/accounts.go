package adopt

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
)

// Numbers of accounts, as Debian's policy section 9.2.2 has them.
const (
	firstSystem = 100
	firstPerson = 1000
	lastPerson  = 59999
)

// accounts adopts the users and groups that no package made, and the keys one may log in with.
func (c *collector) accounts() error {
	users, groups, err := c.h.Accounts.All(c.ctx)
	if err != nil {
		return fmt.Errorf("looking at accounts: %w", err)
	}
	c.users, c.groups = map[int]string{}, map[int]string{}
	for _, g := range groups {
		c.groups[g.GID] = g.Name
	}
	for _, u := range users {
		c.users[u.UID] = u.Name
		if c.wants("user", u.Name, c.byHand(u.UID, u.Name)) && u.Name != "root" {
			c.adopted[u.Name] = c.user(u)
		}
	}
	for _, g := range groups {
		c.group(g, users)
	}
	if !c.asked("authorized_key") {
		return nil
	}
	for _, u := range users {
		usual := u.Name == "root" || c.adopted[u.Name]
		if c.wants("authorized_key", u.Name, usual) {
			if err := c.keys(u); err != nil {
				return err
			}
		}
	}
	return nil
}

// byHand reports whether a person made an account: its number is for people, or no package speaks of it.
func (c *collector) byHand(id int, name string) bool {
	if id >= firstPerson {
		return id <= lastPerson
	}
	return id >= firstSystem && c.db.there && !strings.HasPrefix(name, "systemd-") && !c.db.mentions(name)
}

func (c *collector) user(u host.User) bool {
	attrs := map[string]any{"uid": u.UID, "group": nameOr(c.groups, u.GID), "home": u.Home, "shell": u.Shell}
	if u.Comment != "" {
		attrs["comment"] = u.Comment
	}
	if len(u.Groups) > 0 {
		attrs["groups"] = list(u.Groups)
	}
	if u.Expires != "" {
		attrs["expires"] = u.Expires
	}
	if u.UID < firstPerson {
		attrs["system"] = true
	}
	if info, err := c.h.FS.Stat(u.Home); err == nil && info.Kind == host.Dir && info.UID == u.UID {
		attrs["manage_home"] = true
	}
	if strings.HasPrefix(u.Password, "$") || strings.HasPrefix(u.Password, "_") {
		c.leaveOut("user", u.Name, "has a password, whose hash is a secret: it is left as it is; put it into a secret to keep it (vigo secret set)")
	}
	return c.offer(Resource{Module: "accounts", Type: "user", Identity: u.Name, Attrs: attrs})
}

// group adopts a group that people made, or that an adopted user has for its own. Members that are adopted say so themselves.
func (c *collector) group(g host.Group, users []host.User) {
	primary := slices.ContainsFunc(users, func(u host.User) bool { return c.adopted[u.Name] && u.GID == g.GID })
	usual := c.byHand(g.GID, g.Name)
	if !c.wants("group", g.Name, usual) && !(primary && usual) {
		return
	}
	attrs := map[string]any{"gid": g.GID}
	if g.GID < firstPerson {
		attrs["system"] = true
	}
	var members []string
	for _, m := range g.Members {
		if !c.adopted[m] {
			members = append(members, m)
		}
	}
	if len(members) > 0 {
		attrs["members"] = list(members)
	}
	c.offer(Resource{Module: "accounts", Type: "group", Identity: g.Name, Attrs: attrs})
}

// keys adopts the keys of a user one by one, or the file as it is where that would change it.
func (c *collector) keys(u host.User) error {
	name := path.Join(u.Home, ".ssh/authorized_keys")
	if !path.IsAbs(u.Home) {
		return nil
	}
	info, err := c.h.FS.Stat(name)
	if errors.Is(err, host.ErrNotFound) {
		return nil
	}
	if errors.Is(err, fs.ErrPermission) {
		c.leaveOut("authorized_key", u.Name, "%s", notAllowed)
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the keys of %s: %w", u.Name, err)
	}
	if info.Kind != host.File {
		c.leaveOut("authorized_key", u.Name, "%s is a %s", name, info.Kind)
		return nil
	}
	data, why, err := c.read(name, info)
	if why != "" {
		c.leaveOut("authorized_key", u.Name, "%s", why)
	}
	if err != nil || why != "" {
		return err
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		r, ok := authorizedKey(u.Name, line)
		if !ok || c.seen[r.Type+":"+r.Identity] || c.conforms(r) != "" {
			return c.keysWhole(u, name, info)
		}
		c.offer(r)
	}
	return nil
}

// keysWhole adopts the file with the keys of a user as it is, in place of single keys.
func (c *collector) keysWhole(u host.User, name string, info host.Info) error {
	c.result.Resources = slices.DeleteFunc(c.result.Resources, func(r Resource) bool {
		return r.Type == "authorized_key" && r.Attrs["user"] == u.Name
	})
	dir, err := c.h.FS.Stat(path.Dir(name))
	if err != nil {
		return fmt.Errorf("looking at the keys of %s: %w", u.Name, err)
	}
	if dir.Kind == host.Dir {
		c.offer(Resource{Module: "accounts", Type: "directory", Identity: path.Dir(name), Attrs: c.ownership(dir)})
	}
	return c.file("authorized_key", name, info, "accounts", true)
}

// authorizedKey reads a line as sshd(8) describes it. A key without a comment has no name.
func authorizedKey(user, line string) (Resource, bool) {
	var options []any
	if word, _, _ := strings.Cut(line, " "); !isKeyType(word) {
		end := optionsEnd(line)
		if end == len(line) {
			return Resource{}, false
		}
		options, line = splitOptions(line[:end]), strings.TrimLeft(line[end:], " \t")
	}
	words := strings.SplitN(line, " ", 3)
	if len(words) != 3 || !isKeyType(words[0]) || words[1] == "" || words[2] == "" {
		return Resource{}, false
	}
	attrs := map[string]any{"user": user, "type": words[0], "key": words[1], "comment": words[2]}
	if len(options) > 0 {
		attrs["options"] = options
	}
	return Resource{Module: "accounts", Type: "authorized_key", Identity: user + "/" + words[2], Attrs: attrs}, true
}

func isKeyType(word string) bool {
	return strings.HasPrefix(word, "ssh-") || strings.HasPrefix(word, "ecdsa-") || strings.HasPrefix(word, "sk-")
}

// optionsEnd is where the options of a line end: at the first space outside of double quotes.
func optionsEnd(line string) int {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\' && quoted:
			i++
		case line[i] == '"':
			quoted = !quoted
		case (line[i] == ' ' || line[i] == '\t') && !quoted:
			return i
		}
	}
	return len(line)
}

func splitOptions(s string) []any {
	var all []any
	quoted, from := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			all, from = append(all, s[from:i]), i+1
		}
	}
	return append(all, s[from:])
}

func list(words []string) []any {
	all := make([]any, len(words))
	for i, w := range words {
		all[i] = w
	}
	return all
}
