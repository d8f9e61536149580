package hosttest

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/txtar"
)

// Parse reads a machine from text: a txtar archive whose lines before the first section, and in the section "host",
// describe the machine, and whose sections "fs/<path>" are the contents of files. Everything else in the archive is
// passed over.
//
// A line is a word, arguments and key=value attributes; arguments and values may be Go strings. "#" starts a comment
// line. What is left out has a sane default, and the directories of a named path are there.
//
//	dir /srv mode=0750 owner=root:www-data mtime=2026-01-01T00:00:00Z
//	file /etc/motd mode=0644 owner=root:root "hello\n"
//	file /etc/hosts
//		127.0.0.1 localhost          (content in lines indented by one tab)
//	link /etc/localtime -> /usr/share/zoneinfo/UTC
//	other /dev/null                      (device, socket or fifo)
//	device /dev/sdb1 size=64M holds=0x438:53ef,0x460:c2   (bytes at offsets; the others are zero)
//	xattr /etc/motd user.x "value"
//	flags /etc/motd immutable append
//	user alice uid=1000 gid=1000 home=/home/alice shell=/bin/bash groups=sudo comment="Alice" password=! expires=2030-01-01
//	group sudo gid=27 members=alice
//	package nginx 1.22.1 arch=amd64 [held] [broken] [unneeded]
//	candidate nginx 1.22.1 [reboot] others=1.22.0 refreshed=1.24.0 service=nginx security=1.22.1 needs=nginx-common
//	service nginx boot=enabled running=true failed=false unknown=false state="active (running)" live=true start=fails
//	sysctl net.ipv4.ip_forward 0
//	hostname web-1
//	interface eth0 index=2 mac=02:00:00:00:00:01 mtu=1500 up=true loopback=false addresses=192.0.2.7/24
//	mount tmpfs /tmp tmpfs rw,nosuid [busy]
//	quota /home user                     (they are kept there)
//	quota /home user 1000 blocks=9G/10G inodes=0/1000   (soft/hard)
//	table inet main FINGERPRINT          (of the firewall)
//	file /run/firewalld/zones/public     (what firewalld runs with: lines "target DROP", "forward", "interface eth0", "source
//	                                     192.0.2.0/24", "port 80/tcp", "protocol gre", "rule …"; without the folder it does not run)
//	clock 2026-01-01T00:00:00Z
//	fetched 2025-12-31T00:00:00Z         (the package lists; or never; just now if left out)
//	usage / bytes=100 free=50 available=40 inodes=10 inodesfree=5 readonly=false
//	command ["visudo","-cf","*"] code=0 stdout="ok" stderr="" [reads] [once] [exists=/x] [rejects=TEXT] [creates=/y] [content=TEXT] [removes=/z] [gives=eth0=192.0.2.7/24] [leaves=/dev/sdb1,size:64M,0x438:53ef] [composes=shop:web,db]
//	program visudo /usr/sbin/visudo
//	url https://example.com/x "content"
//	stale nginx.service                  (systemd has read an older version of its files)
//	process 12 sshd /usr/sbin/sshd -D uid=0   (number, name, executable, arguments)
//	image docker.io/library/nginx:1.27 id=sha256:1 digest=sha256:2   (that the container engine has; it is there
//	                                     if its socket is: other /run/docker.sock)
//	registry docker.io/library/nginx:1.27 id=sha256:1 digest=sha256:2   (that can be pulled)
//	network front                        (of the engine)
//	engine-version 1.44                  (the one version of the API that the engine knows; any if it is left out)
//	engine-without Memory PidsLimit      (limits that its kernel does not count)
//	engine-podman                        (it says that it is Podman)
//	container web state=running image=sha256:1 health=healthy networks=front
//		Image "nginx:1.27"               (what it was made of, in lines indented by one tab: key and JSON)
//	cluster https://10.0.0.1:6443 token=abc   (of Kubernetes; without a token it takes a client certificate)
//	object /api/v1/namespaces/shop/configmaps/web
//		data {"a":"b"}                   (in lines indented by one tab: key and JSON)
//	fail read /etc/motd "permission denied"
//
// The words of fail: look stat read write xattr flags device (with a path); accounts, "accounts put", packages, install, upgrade,
// services, sysctl, set-sysctl, firewall, firewall-load, units, processes (with a name); refresh, hostname, set-hostname, interfaces,
// engine (with method and path), mounts, mount, quota, usage, fetch, firewall-check, turn (to wait for it). The texts
// busy, unsupported and not-found stand for the sentinel errors.
func Parse(text []byte) (*Machine, error) { return FromArchive(txtar.Parse(text)) }

// FromArchive reads a machine from an archive, as [Parse] does.
func FromArchive(a *txtar.Archive) (*Machine, error) {
	m := newMachine()
	p := &parser{m: m}
	p.text("host", string(a.Comment))
	for _, f := range a.Files {
		if f.Name == "host" {
			p.text("host", string(f.Data))
		}
	}
	for _, f := range a.Files {
		if name, ok := strings.CutPrefix(f.Name, "fs/"); ok {
			p.content("/"+name, string(f.Data))
		}
	}
	p.finish()
	if len(p.errs) > 0 {
		return nil, fmt.Errorf("reading host text: %w", p.errs[0])
	}
	return m, nil
}

// parser fills a machine from lines. What names accounts is settled at the end, since they may come later.
type parser struct {
	m      *Machine
	errs   []error
	owners map[string]string   // path → user:group
	member map[string][]string // user → groups
}

func (p *parser) text(name, text string) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		at := i + 1
		if t := strings.TrimSpace(lines[i]); t == "" || strings.HasPrefix(t, "#") {
			continue
		}
		l, err := scan(lines[i])
		if err == nil {
			var body []string
			for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "\t") {
				i++
				body = append(body, strings.TrimPrefix(lines[i], "\t")+"\n")
			}
			if body != nil {
				whole := strings.Join(body, "")
				l.body = &whole
			}
			err = p.line(l)
		}
		if err != nil {
			p.errs = append(p.errs, fmt.Errorf("%s: line %d: %w", name, at, err))
		}
	}
}

func (p *parser) line(l *line) error {
	read, ok := map[string]func(*line) error{
		"dir": p.file, "file": p.file, "link": p.file, "other": p.file,
		"user": p.user, "group": p.group, "package": p.pkg, "candidate": p.candidate, "service": p.service,
		"sysctl": p.sysctl, "hostname": p.hostname, "interface": p.iface, "mount": p.mount, "usage": p.usage,
		"command": p.command, "program": p.program, "url": p.url, "fail": p.fail, "table": p.table, "clock": p.clock, "fetched": p.lists,
		"xattr": p.xattr, "flags": p.flags, "stale": p.stale, "device": p.device, "quota": p.quota, "process": p.process,
		"image": p.image, "registry": p.image, "network": p.network, "container": p.container,
		"engine-version": p.engineVersion, "engine-without": p.engineWithout, "engine-podman": p.enginePodman, "cluster": p.cluster, "object": p.object,
	}[l.word]
	if !ok {
		return fmt.Errorf("unknown word %q", l.word)
	}
	if l.body != nil && l.word != "file" && l.word != "url" && l.word != "container" && l.word != "object" {
		return fmt.Errorf("%s has no content", l.word)
	}
	if takesName(l.word) && len(l.args) > 0 && !plainName.MatchString(l.args[0]) {
		return fmt.Errorf("%q is not a name", l.args[0])
	}
	return read(l)
}

// plainName is what names an account, package or service.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_][-A-Za-z0-9_.+@:]*$`)

// takesName reports whether the first argument of a word is such a name.
func takesName(word string) bool {
	switch word {
	case "user", "group", "package", "candidate", "service", "hostname":
		return true
	}
	return false
}

// content sets the content of a file given as a section of the archive.
func (p *parser) content(name, body string) {
	if err := clean(name); err != nil {
		p.errs = append(p.errs, err)
		return
	}
	if n := p.m.nodes[name]; n != nil && n.kind != "file" {
		p.errs = append(p.errs, fmt.Errorf("fs%s: is a %s", name, n.kind))
		return
	} else if n != nil {
		n.content = body
		return
	}
	p.m.imply(name)
	p.m.nodes[name] = &node{kind: "file", mode: 0o644, content: body}
}

// finish settles what names accounts.
func (p *parser) finish() {
	for _, name := range sortedKeys(p.m.users) {
		u := p.m.users[name]
		if _, taken := p.m.groups[name]; !taken && p.m.groupOf(u.GID) == "" {
			p.m.groups[name] = &group{gid: u.GID}
		}
	}
	for _, user := range sortedKeys(p.member) {
		for _, name := range p.member[user] {
			g := p.m.groups[name]
			if g == nil {
				p.errs = append(p.errs, fmt.Errorf("user %s: no group %q", user, name))
			} else if !slices.Contains(g.members, user) {
				g.members = append(g.members, user)
			}
		}
	}
	for _, name := range sortedKeys(p.owners) {
		if err := p.m.own(p.m.nodes[name], p.owners[name]); err != nil {
			p.errs = append(p.errs, fmt.Errorf("%s: %w", name, err))
		}
	}
}

func (m *Machine) groupOf(gid int) string {
	for _, name := range sortedKeys(m.groups) {
		if m.groups[name].gid == gid {
			return name
		}
	}
	return ""
}

func (m *Machine) userOf(uid int) string {
	for _, name := range sortedKeys(m.users) {
		if m.users[name].UID == uid {
			return name
		}
	}
	return ""
}

func clean(name string) error {
	if !path.IsAbs(name) || path.Clean(name) != name {
		return fmt.Errorf("%q is not a clean absolute path", name)
	}
	return nil
}
