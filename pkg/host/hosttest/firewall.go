package hosttest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"vigo.dev/pkg/host"
)

// firewall implements host.Firewall. The fingerprint of a table that was loaded is made of its file, and of what is in
// the folder of the same name beside it.
type firewall struct{ m *Machine }

var _ host.Firewall = firewall{}

// Fingerprint implements host.Firewall.
func (f firewall) Fingerprint(_ context.Context, family, table string) (string, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.failure("firewall", table); err != nil {
		return "", err
	}
	is, ok := f.m.tables[family+" "+table]
	if !ok {
		return "", notFound("table", table)
	}
	return is, nil
}

// Check implements host.Firewall.
func (f firewall) Check(context.Context, string) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return f.m.failure("firewall-check", "")
}

// Load implements host.Firewall.
func (f firewall) Load(_ context.Context, _, _, path string) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.wrote("load %s", path)
	if err := f.m.failure("firewall-load", path); err != nil {
		return err
	}
	main := f.m.nodes[path]
	if main == nil {
		return notFound("file", path)
	}
	table := ""
	for line := range strings.Lines(main.content) {
		if w := strings.Fields(line); len(w) >= 3 && w[0] == "table" {
			table = w[1] + " " + w[2]
		}
	}
	if table == "" {
		return errors.New("the file names no table")
	}
	all := main.content
	for _, name := range sortedKeys(f.m.nodes) {
		if strings.HasPrefix(name, strings.TrimSuffix(path, ".nft")+"/") {
			all += f.m.nodes[name].content
		}
	}
	f.m.tables[table] = fmt.Sprintf("%x", sha256.Sum256([]byte(all)))[:12]
	return nil
}

// Dump implements host.Firewall: the text is the fingerprint.
func (f firewall) Dump(ctx context.Context, family, table string) (string, error) {
	return f.Fingerprint(ctx, family, table)
}

// Restore implements host.Firewall.
func (f firewall) Restore(_ context.Context, family, table, dump string) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.wrote("restore table %s %s", family, table)
	if err := f.m.failure("firewall-restore", table); err != nil {
		return err
	}
	f.m.tables[family+" "+table] = dump
	if dump == "" {
		delete(f.m.tables, family+" "+table)
	}
	return nil
}

// zones implements host.Zones.
type zones struct{ m *Machine }

var _ host.Zones = zones{}

// runtimeZones is where the text of a machine has what firewalld runs with.
const runtimeZones = "/run/firewalld/zones"

// Zone implements host.Zones.
func (f zones) Zone(_ context.Context, name string) (host.Zone, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	z := host.Zone{Target: "default"}
	if err := f.m.failure("zone", name); err != nil {
		return z, err
	}
	if f.m.nodes[runtimeZones] == nil {
		return z, fmt.Errorf("asking firewalld: %w", errors.ErrUnsupported)
	}
	n := f.m.nodes[runtimeZones+"/"+name]
	if n == nil {
		return z, notFound("zone", name)
	}
	for line := range strings.Lines(n.content) {
		word, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "target":
			z.Target = value
		case "forward":
			z.Forward = true
		case "interface":
			z.Interfaces = append(z.Interfaces, value)
		case "source":
			z.Sources = append(z.Sources, value)
		case "port":
			z.Ports = append(z.Ports, value)
		case "protocol":
			z.Protocols = append(z.Protocols, value)
		case "rule":
			z.RichRules = append(z.RichRules, "rule "+value)
		default:
			return z, fmt.Errorf("zone %s: unknown word %q", name, word)
		}
	}
	return z, nil
}

// clock implements host.Clock: it stands still.
type clock struct{ m *Machine }

// Now implements host.Clock.
func (c clock) Now() time.Time { return c.m.now }

func (p *parser) table(l *line) error {
	if err := l.want(3, 3, "table FAMILY NAME FINGERPRINT"); err != nil {
		return err
	}
	if !plainName.MatchString(l.args[0]) || !plainName.MatchString(l.args[1]) {
		return fmt.Errorf("%q %q is not the name of a table", l.args[0], l.args[1])
	}
	p.m.tables[l.args[0]+" "+l.args[1]] = l.args[2]
	return nil
}

func (p *parser) clock(l *line) error {
	if err := l.want(1, 1, "clock TIME"); err != nil {
		return err
	}
	var err error
	p.m.now, err = time.Parse(time.RFC3339, l.args[0])
	return err
}
