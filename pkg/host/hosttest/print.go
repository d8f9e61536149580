package hosttest

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"vigo.dev/pkg/host"
)

// String prints the state of the machine in the text that [Parse] reads, sorted, without what only scripts its
// behaviour (candidate, command, program, url, fail, usage and interface lines).
func (m *Machine) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	if m.hostname != "" {
		fmt.Fprintf(&b, "hostname %s\n", m.hostname)
	}
	for _, name := range sortedKeys(m.nodes) {
		if n := m.nodes[name]; !n.implied {
			m.printNode(&b, name, n)
		}
	}
	for _, name := range sortedKeys(m.users) {
		if name != "root" {
			m.printUser(&b, m.user(m.users[name]))
		}
	}
	for _, name := range sortedKeys(m.groups) {
		if name == "root" && len(m.groups[name].members) == 0 {
			continue
		}
		m.printGroup(&b, name, m.groups[name])
	}
	for _, name := range sortedKeys(m.packages) {
		printPackage(&b, m.packages[name], m.unneeded[name])
	}
	for _, name := range sortedKeys(m.services) {
		m.services[name].print(&b)
	}
	for _, name := range sortedKeys(m.stale) {
		fmt.Fprintf(&b, "stale %s\n", bare(name))
	}
	for _, p := range m.processes {
		p.print(&b)
	}
	for _, key := range sortedKeys(m.sysctls) {
		fmt.Fprintf(&b, "sysctl %s %s\n", bare(key), bare(m.sysctls[key]))
	}
	for _, name := range sortedKeys(m.tables) {
		fmt.Fprintf(&b, "table %s %s\n", name, bare(m.tables[name]))
	}
	m.engine.print(&b)
	m.cluster.print(&b)
	for _, mt := range m.mounts {
		fmt.Fprintf(&b, "mount %s %s %s", bare(mt.Source), bare(mt.Path), bare(mt.Type))
		if len(mt.Options) > 0 {
			fmt.Fprintf(&b, " %s", bare(strings.Join(mt.Options, ",")))
		}
		if mt.busy {
			b.WriteString(" busy")
		}
		b.WriteByte('\n')
	}
	m.printQuotas(&b)
	return b.String()
}

func (m *Machine) printNode(b *strings.Builder, name string, n *node) {
	if n.device != nil {
		n.device.print(b, name)
		return
	}
	word := map[host.Kind]string{host.File: "file", host.Dir: "dir", host.Symlink: "link", host.Other: "other"}[n.kind]
	fmt.Fprintf(b, "%s %s", word, bare(name))
	if n.kind == host.Symlink {
		fmt.Fprintf(b, " -> %s", bare(n.target))
	} else {
		fmt.Fprintf(b, " mode=%s", octal(n.mode))
	}
	if n.uid != 0 || n.gid != 0 {
		user, grp := m.userOf(n.uid), m.groupOf(n.gid)
		if user == "" {
			user = strconv.Itoa(n.uid)
		}
		if grp == "" {
			grp = strconv.Itoa(n.gid)
		}
		fmt.Fprintf(b, " owner=%s:%s", user, grp)
	}
	if n.links > 1 {
		fmt.Fprintf(b, " links=%d", n.links)
	}
	if !n.mtime.IsZero() {
		fmt.Fprintf(b, " mtime=%s", n.mtime.Format(time.RFC3339))
	}
	n.printContent(b)
	for _, attr := range sortedKeys(n.xattrs) {
		fmt.Fprintf(b, "xattr %s %s %q\n", bare(name), bare(attr), n.xattrs[attr])
	}
	if n.flags != (host.FileFlags{}) {
		fmt.Fprintf(b, "flags %s%s\n", bare(name), flagWords(n.flags))
	}
}

func (n *node) printContent(b *strings.Builder) {
	switch {
	case n.content == "":
		b.WriteByte('\n')
	case printsAsLines(n.content):
		b.WriteByte('\n')
		for text := range strings.Lines(n.content) {
			b.WriteString("\t" + text)
		}
	default:
		fmt.Fprintf(b, " %q\n", n.content)
	}
}

// printsAsLines reports whether content is shown as indented lines: several whole lines of plain text.
func printsAsLines(content string) bool {
	if !utf8.ValidString(content) || !strings.HasSuffix(content, "\n") || strings.Count(content, "\n") < 2 {
		return false
	}
	return !strings.ContainsFunc(content, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) })
}

func octal(mode fs.FileMode) string {
	n := uint32(mode & 0o777)
	for flag, bit := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&flag != 0 {
			n |= bit
		}
	}
	return fmt.Sprintf("%04o", n)
}

// bare quotes a word where it must be.
func bare(word string) string {
	if word == "" || strings.ContainsAny(word, " \"\t\n[") || attrKey.MatchString(word) || strconv.Quote(word) != `"`+word+`"` {
		return strconv.Quote(word)
	}
	return word
}

func attr(b *strings.Builder, key, value, otherwise string) {
	if value != otherwise {
		fmt.Fprintf(b, " %s=%s", key, bare(value))
	}
}

func (m *Machine) printUser(b *strings.Builder, u host.User) {
	fmt.Fprintf(b, "user %s uid=%d gid=%d home=%s shell=%s", u.Name, u.UID, u.GID, bare(u.Home), bare(u.Shell))
	attr(b, "groups", strings.Join(u.Groups, ","), "")
	attr(b, "comment", u.Comment, "")
	attr(b, "password", u.Password, "")
	attr(b, "expires", u.Expires, "")
	attr(b, "min", u.Aging.Min, "")
	attr(b, "max", u.Aging.Max, "")
	attr(b, "warn", u.Aging.Warn, "")
	attr(b, "inactive", u.Aging.Inactive, "")
	b.WriteByte('\n')
}

func (m *Machine) printGroup(b *strings.Builder, name string, g *group) {
	fmt.Fprintf(b, "group %s gid=%d", name, g.gid)
	members := slices.Clone(g.members)
	slices.Sort(members)
	attr(b, "members", strings.Join(members, ","), "")
	b.WriteByte('\n')
}

func printPackage(b *strings.Builder, p *host.Package, unneeded bool) {
	fmt.Fprintf(b, "package %s %s", p.Name, bare(p.Version))
	attr(b, "arch", p.Arch, "")
	if p.Held {
		b.WriteString(" held")
	}
	if p.Broken {
		b.WriteString(" broken")
	}
	if unneeded {
		b.WriteString(" unneeded")
	}
	b.WriteByte('\n')
}

func (s *service) print(b *strings.Builder) {
	fmt.Fprintf(b, "service %s boot=%s running=%t", s.Name, bare(string(s.Boot)), s.Running)
	if s.Failed {
		b.WriteString(" failed=true")
	}
	if s.Unknown {
		b.WriteString(" unknown=true")
	}
	if !s.Live {
		b.WriteString(" live=false")
	}
	attr(b, "state", s.State, "")
	if s.startFails {
		b.WriteString(" start=fails")
	}
	b.WriteByte('\n')
}
