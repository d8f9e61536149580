package resources

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Resolver is how the machine finds addresses of names: /etc/resolv.conf, or systemd-resolved
// (/etc/systemd/resolved.conf.d/vigo.conf), which is restarted when that has changed.
//
//	resources:
//	  - resolver: dns
//	    servers: [192.0.2.53, "2001:db8::53"]
//	    search: [example.com]
type Resolver struct {
	// Name in the policy, free to choose; a machine has one.
	Name string `vigo:"identity"`

	// Servers are the addresses of the name servers, the first to ask first. resolv.conf(5) has room for three.
	Servers []string `yaml:"servers" vigo:"required"`

	// Search are the domains in which short names are looked for.
	Search []string `yaml:"search"`

	// Options of resolv.conf(5), such as timeout:2 and rotate; for provider file.
	Options []string `yaml:"options"`

	// Settings are further options of the section Resolve of resolved.conf(5), such as {DNSSEC: "yes"}; for provider
	// resolved.
	Settings map[string]string `yaml:"settings"`

	// Provider is resolved, or file, which replaces /etc/resolv.conf even if it is a link; auto (the default) takes
	// resolved if /etc/resolv.conf is a link to a file of it.
	Provider string `yaml:"provider" vigo:"enum=auto|file|resolved"`
}

var (
	_ resource.Validator = (*Resolver)(nil)
	_ resource.Requirer  = (*Resolver)(nil)
)

// Validate implements [resource.Validator].
func (r *Resolver) Validate() error {
	if len(r.Servers) == 0 {
		return errors.New("servers: want at least one")
	}
	for _, s := range r.Servers {
		if _, ok := parseAddress(s); !ok {
			return fmt.Errorf("servers: %q is not an address", s)
		}
	}
	for _, list := range [][]string{r.Search, r.Options} {
		for _, word := range list {
			if word == "" || strings.ContainsAny(word, " \t\n\r#;") {
				return fmt.Errorf("search, options: %q is not one word", word)
			}
		}
	}
	switch {
	case r.Provider != "resolved" && len(r.Servers) > 3:
		return fmt.Errorf("servers: %d of them, and /etc/resolv.conf has room for 3", len(r.Servers))
	case r.Provider == "resolved" && r.Options != nil:
		return errors.New("options are for provider file")
	case r.Provider == "file" && r.Settings != nil:
		return errors.New("settings are for provider resolved")
	}
	return checkSettings("settings", r.Settings)
}

// Requires implements [resource.Requirer].
func (r *Resolver) Requires() []resource.ID {
	return []resource.ID{{Type: "package", Name: "systemd-resolved"}}
}

// Plan implements [resource.Resource].
func (r *Resolver) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	const name = "/etc/resolv.conf"
	is, err := look(h, name)
	if err != nil {
		return resource.Plan{}, err
	}
	byResolved := is != nil && is.Kind == host.Symlink && strings.Contains(is.Target, "systemd/resolve/")
	if r.Provider == "file" || r.Provider != "resolved" && !byResolved {
		return ownedFile(name, r.file()).Plan(ctx, h)
	}
	f := ownedFile("/etc/systemd/resolved.conf.d/vigo.conf", r.resolved())
	p, err := ownedPlan(ctx, h, f, func(ctx context.Context) error { return restartIfRunning(ctx, h, "systemd-resolved") })
	if err != nil || byResolved {
		return p, err
	}
	link, err := (&Symlink{Path: name, Target: "../run/systemd/resolve/stub-resolv.conf", Force: true}).Plan(ctx, h)
	p.Include(name, link)
	return p, err
}

func (r *Resolver) file() string {
	var b strings.Builder
	b.WriteString(ownedMark)
	for _, s := range r.Servers {
		b.WriteString("nameserver " + s + "\n")
	}
	if len(r.Search) > 0 {
		b.WriteString("search " + strings.Join(r.Search, " ") + "\n")
	}
	if len(r.Options) > 0 {
		b.WriteString("options " + strings.Join(r.Options, " ") + "\n")
	}
	return b.String()
}

func (r *Resolver) resolved() string {
	text := ownedMark + "[Resolve]\nDNS=" + strings.Join(r.Servers, " ") + "\n"
	if len(r.Search) > 0 {
		text += "Domains=" + strings.Join(r.Search, " ") + "\n"
	}
	return text + settingLines(r.Settings, "=")
}
