package resources

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/resource"
)

// Agent is what an agent needs on its host to go on.
type Agent struct {
	Unit     string   // of the service manager, without .service
	Packages []string // it may have been installed from
	Users    []string // it may run as
	Files    []string // its binary, unit and settings: absolute paths
	State    string   // its folder
}

// UsualAgent is an agent that was installed as its package does it.
func UsualAgent() Agent {
	return Agent{
		Unit: "vigo-agent", Packages: []string{"vigo-agent", "vigo"}, Users: []string{"root", "vigo-agent"},
		Files: []string{"/usr/bin/vigo-agent", "/usr/local/bin/vigo-agent", "/etc/default/vigo-agent",
			"/etc/systemd/system/vigo-agent.service", "/usr/lib/systemd/system/vigo-agent.service", "/lib/systemd/system/vigo-agent.service",
			"/etc/init.d/vigo-agent", "/etc/sv/vigo-agent"},
		State: "/var/lib/vigo-agent",
	}
}

// Guardrails are the rules that keep an agent alive. They see what a declaration says, not what a program does that it starts.
func Guardrails(a Agent) []resource.Guardrail {
	return []resource.Guardrail{
		{Name: "agent-unit", Breaks: a.unit},
		{Name: "agent-package", Breaks: a.pkg},
		{Name: "agent-user", Breaks: a.user},
		{Name: "agent-files", Breaks: a.files},
		{Name: "agent-process", Breaks: a.process},
		{Name: "agent-network", Breaks: a.network},
	}
}

func (a Agent) isUnit(name string) bool {
	return strings.TrimSuffix(name, ".service") == a.Unit
}

func (a Agent) unit(_ resource.Kind, id resource.ID, res resource.Resource, _ []resource.Item) string {
	s, ok := res.(*Service)
	no := func(b *bool) bool { return b != nil && !*b }
	switch {
	case !ok || !a.isUnit(id.Name):
	case no(s.Running):
		return "it stops the agent"
	case no(s.Enabled):
		return "it keeps the agent from starting at boot"
	case s.Masked != nil && *s.Masked:
		return "it masks the agent"
	}
	return ""
}

func (a Agent) pkg(_ resource.Kind, id resource.ID, res resource.Resource, _ []resource.Item) string {
	if p, ok := res.(*Package); ok && p.Ensure == "absent" && slices.Contains(a.Packages, id.Name) {
		return "it removes the package of the agent"
	}
	return ""
}

func (a Agent) user(_ resource.Kind, id resource.ID, res resource.Resource, _ []resource.Item) string {
	if u, ok := res.(*User); ok && u.Ensure == "absent" && slices.Contains(a.Users, id.Name) {
		return "it removes a user that the agent runs as"
	}
	return ""
}

// files looks at any type whose identity is a path: what is taken away, and what comes in the place of it.
func (a Agent) files(kind resource.Kind, id resource.ID, res resource.Resource, _ []resource.Item) string {
	if !path.IsAbs(id.Name) {
		return ""
	}
	at, state, file := path.Clean(id.Name), a.State, a.State
	near := func(file string) bool { return within(file, at) || within(at, file) }
	if !near(state) {
		i := slices.IndexFunc(a.Files, near)
		if i < 0 {
			return ""
		}
		file = a.Files[i]
	}
	ensure, _ := kind.Value(res, "ensure")
	purge, _ := kind.Value(res, "purge")
	switch {
	case ensure == "absent":
		return fmt.Sprintf("it removes %s, which the agent needs", file)
	case purge == true:
		return fmt.Sprintf("it purges %s, and the agent needs %s", at, file)
	case kind.Name == "symlink" && within(file, at):
		return fmt.Sprintf("it puts a link in the place of %s", at)
	case kind.Name == "mount" && at == file:
		return fmt.Sprintf("it mounts something over %s", at)
	case within(at, state) && at != state && kind.Name != "directory":
		return fmt.Sprintf("it writes into %s, which is the agent's own", state)
	case strings.HasSuffix(at, "/bin/"+a.Unit):
		return fmt.Sprintf("it replaces %s, the agent itself", at)
	}
	return ""
}

// within reports whether a path is another or below it.
func within(name, dir string) bool {
	return name == dir || dir == "/" || len(name) > len(dir) && name[len(dir)] == '/' && strings.HasPrefix(name, dir)
}

// process looks for a program that is told to stop or remove the agent. It cannot see what a script does.
func (a Agent) process(_ resource.Kind, _ resource.ID, res resource.Resource, _ []resource.Item) string {
	e, ok := res.(*Exec)
	if !ok {
		return ""
	}
	words := strings.FieldsFunc(strings.Join(e.Command, " "), func(r rune) bool { return strings.ContainsRune(" \t\n;&|()'\"", r) })
	named := slices.ContainsFunc(words, func(w string) bool {
		return a.isUnit(w) || slices.Contains(a.Files, w) || slices.Contains(a.Packages, w) && strings.HasPrefix(w, a.Unit)
	})
	ends := []string{"stop", "disable", "mask", "kill", "pkill", "killall", "rm", "purge", "remove", "erase", "uninstall", "del", "shred"}
	i := slices.IndexFunc(words, func(w string) bool { return slices.Contains(ends, path.Base(w)) })
	if named && i >= 0 {
		return fmt.Sprintf("it runs %s on the agent", words[i])
	}
	return ""
}

// network looks for a packet filter that drops what is sent while nothing may be sent.
func (a Agent) network(_ resource.Kind, _ resource.ID, res resource.Resource, all []resource.Item) string {
	p, ok := res.(*FirewallPolicy)
	if !ok || p.Output != "drop" || len(p.OutputRules) > 0 || p.Extra != "" || all == nil {
		return ""
	}
	allows := func(it resource.Item) bool {
		r, ok := it.Resource.(*FirewallRule)
		return ok && r.Chain == "output" && r.Ensure != "absent"
	}
	if slices.ContainsFunc(all, allows) {
		return ""
	}
	return "it drops all packets that the agent sends, and no rule lets any through"
}
