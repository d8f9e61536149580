package hosttest

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/host"
)

func (p *parser) file(l *line) error {
	if len(l.args) == 0 {
		return fmt.Errorf("want %s PATH", l.word)
	}
	name := l.args[0]
	if err := clean(name); err != nil {
		return err
	}
	n := &node{kind: host.Kind(l.word), mode: 0o644}
	most := 1
	switch l.word {
	case "dir":
		n.kind, n.mode = host.Dir, 0o755
	case "link":
		if len(l.args) != 3 || l.args[1] != "->" {
			return errors.New("want link PATH -> TARGET")
		}
		n.kind, n.mode, n.target, most = host.Symlink, 0o777, l.args[2], 3
	case "file":
		most = 2
		if len(l.args) > 1 {
			n.content = l.args[1]
		}
		if l.body != nil {
			n.content += *l.body
		}
	}
	if err := modeOf(l.attr("mode", ""), &n.mode); err != nil {
		return err
	}
	links, err := l.number("links", 1)
	if err != nil || links < 0 {
		return cmp.Or(err, errors.New("links is less than none"))
	}
	n.links = uint64(links)
	if written := l.attr("mtime", ""); written != "" {
		if n.mtime, err = time.Parse(time.RFC3339, written); err != nil {
			return fmt.Errorf("mtime: %w", err)
		}
	}
	if owner := l.attr("owner", ""); owner != "" {
		if p.owners == nil {
			p.owners = map[string]string{}
		}
		p.owners[name] = owner
	}
	p.m.imply(name)
	p.m.nodes[name] = n
	return l.want(1, most, l.word+" PATH with mode=, owner=USER:GROUP, links=")
}

func modeOf(text string, mode *fs.FileMode) error {
	if text == "" {
		return nil
	}
	n, err := strconv.ParseUint(text, 8, 12)
	if err != nil {
		return fmt.Errorf("%q is not an octal mode", text)
	}
	*mode = fs.FileMode(n & 0o777)
	for bit, flag := range map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if n&bit != 0 {
			*mode |= flag
		}
	}
	return nil
}

// own sets the owner of a node from user:group, each a name or a number.
func (m *Machine) own(n *node, owner string) error {
	user, grp, ok := strings.Cut(owner, ":")
	if !ok {
		return fmt.Errorf("owner=%s: want USER:GROUP", owner)
	}
	if u := m.users[user]; u != nil {
		n.uid = u.UID
	} else if id, err := strconv.Atoi(user); err == nil {
		n.uid = id
	} else {
		return fmt.Errorf("no user %q", user)
	}
	if g := m.groups[grp]; g != nil {
		n.gid = g.gid
	} else if id, err := strconv.Atoi(grp); err == nil {
		n.gid = id
	} else {
		return fmt.Errorf("no group %q", grp)
	}
	return nil
}

func (p *parser) user(l *line) error {
	if len(l.args) == 0 {
		return errors.New("want user NAME")
	}
	name := l.args[0]
	uid, err := l.number("uid", 1000)
	if err != nil {
		return err
	}
	gid, err := l.number("gid", uid)
	if err != nil {
		return err
	}
	if name == "root" && uid != 0 {
		return errors.New("root has the number 0")
	}
	p.m.users[name] = &host.User{Name: name, UID: uid, GID: gid, Comment: l.attr("comment", ""),
		Home: l.attr("home", "/home/"+name), Shell: l.attr("shell", "/bin/sh"),
		Password: l.attr("password", ""), Expires: l.attr("expires", ""),
		Aging: host.Aging{Min: l.attr("min", ""), Max: l.attr("max", ""), Warn: l.attr("warn", ""), Inactive: l.attr("inactive", "")}}
	if p.member == nil {
		p.member = map[string][]string{}
	}
	p.member[name] = l.list("groups")
	return l.want(1, 1, "user NAME with uid=, gid=, comment=, home=, shell=, groups=, password=, expires=, min=, max=, warn=, inactive=")
}

func (p *parser) group(l *line) error {
	gid, err := l.number("gid", 1000)
	if err != nil {
		return err
	}
	members := l.list("members")
	if err := l.want(1, 1, "group NAME with gid=, members="); err != nil {
		return err
	}
	p.m.groups[l.args[0]] = &group{gid: gid, members: members}
	return nil
}

func (p *parser) pkg(l *line) error {
	held, broken, unneeded := l.flag("held", 2), l.flag("broken", 2), l.flag("unneeded", 2)
	arch := l.attr("arch", "")
	if err := l.want(2, 2, "package NAME VERSION [held] [broken] [unneeded] with arch="); err != nil {
		return err
	}
	if unneeded {
		p.m.unneeded[l.args[0]] = true
	}
	p.m.packages[l.args[0]] = &host.Package{Name: l.args[0], Version: l.args[1], Arch: arch, Held: held, Broken: broken}
	return nil
}

func (p *parser) candidate(l *line) error {
	c := &candidate{others: l.list("others"), refreshed: l.attr("refreshed", ""), service: l.attr("service", ""),
		security: l.attr("security", ""), needs: l.attr("needs", ""), reboot: l.flag("reboot", 2)}
	if err := l.want(1, 2, "candidate NAME [VERSION] [reboot] with others=, refreshed=, service=, security=, needs="); err != nil {
		return err
	}
	if len(l.args) > 1 {
		c.version = l.args[1]
	}
	p.m.candidates[l.args[0]] = c
	return nil
}

func (p *parser) service(l *line) error {
	s := &service{Service: host.Service{Boot: host.Boot(l.attr("boot", string(host.Disabled)))}}
	for key, dst := range map[string]*bool{"running": &s.Running, "failed": &s.Failed, "unknown": &s.Unknown, "live": &s.Live} {
		v, err := l.truth(key, key == "live")
		if err != nil {
			return err
		}
		*dst = v
	}
	s.State = l.attr("state", "")
	s.startFails = l.attr("start", "") == "fails"
	if err := l.want(1, 1, "service NAME with boot=, running=, failed=, unknown=, live=, state=, start=fails"); err != nil {
		return err
	}
	s.Name = unit(l.args[0])
	p.m.services[s.Name] = s
	return nil
}

func (p *parser) sysctl(l *line) error {
	if len(l.attrs) > 0 || len(l.args) < 2 {
		return errors.New("want sysctl KEY VALUE")
	}
	p.m.sysctls[l.args[0]] = strings.Join(l.args[1:], " ")
	return nil
}

func (p *parser) hostname(l *line) error {
	if err := l.want(1, 1, "hostname NAME"); err != nil {
		return err
	}
	p.m.hostname = l.args[0]
	return nil
}

func (p *parser) iface(l *line) error {
	i := host.Interface{MAC: l.attr("mac", ""), Addresses: l.list("addresses")}
	var err [4]error
	i.Index, err[0] = l.number("index", len(p.m.interfaces)+1)
	i.MTU, err[1] = l.number("mtu", 1500)
	i.Up, err[2] = l.truth("up", true)
	i.Loopback, err[3] = l.truth("loopback", false)
	if err := errors.Join(err[:]...); err != nil {
		return err
	}
	if err := l.want(1, 1, "interface NAME with index=, mac=, mtu=, up=, loopback=, addresses="); err != nil {
		return err
	}
	i.Name = l.args[0]
	p.m.interfaces = append(p.m.interfaces, i)
	return nil
}
