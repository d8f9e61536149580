//go:build linux

package machine

import (
	"context"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
)

var _ upgrader = apt{}

func (apt) lists() []string { return []string{"/var/lib/apt/lists", "/var/lib/apt/lists/partial"} }

// aptRounds bounds how often apt is asked: keeping one package back may let another one go that was in its way.
const aptRounds = 4

// pending asks apt to simulate what upgrade does.
func (apt) pending(ctx context.Context, p *packages, s host.UpgradeScope) ([]host.Upgrade, error) {
	all, _, err := p.aptUpgrades(ctx, s)
	return all, err
}

// upgrade takes no package away, but for those that nothing needs, and installs new ones where an upgrade needs them. A
// package that is named loses the mark that it was installed for others alone; it gets that back.
func (apt) upgrade(ctx context.Context, p *packages, s host.UpgradeScope) error {
	_, versions, err := p.aptUpgrades(ctx, s)
	if err != nil {
		return err
	}
	marked, err := p.aptAutomatic(ctx, versions)
	if err != nil {
		return err
	}
	if err := p.apt(ctx, aptUpgrade(s, versions)...); err != nil || len(marked) == 0 {
		return err
	}
	_, err = p.run(ctx, append([]string{"apt-mark", "auto", "--"}, marked...))
	return err
}

// aptUpgrade is the command: the packages in versions go to those, all others to what the repositories offer.
func aptUpgrade(s host.UpgradeScope, versions map[string]string) []string {
	argv := []string{"upgrade", "--with-new-pkgs", "--only-upgrade"}
	if s.Autoremove {
		argv = append(argv, "-o", "APT::Get::AutomaticRemove=true")
	}
	argv = append(argv, "--")
	for _, name := range sortedNames(versions) {
		argv = append(argv, name+"="+versions[name])
	}
	return argv
}

// aptUpgrades returns what would be done, and the versions of the packages that the scope does not leave to apt.
func (p *packages) aptUpgrades(ctx context.Context, s host.UpgradeScope) (all []host.Upgrade, versions map[string]string, err error) {
	versions = map[string]string{}
	for range aptRounds {
		out, err := p.run(ctx, append([]string{"apt-get", "-s", "-q"}, aptUpgrade(s, versions)...))
		if err != nil {
			return nil, nil, err
		}
		all = parseSimulation(out)
		more, err := p.aptVersions(ctx, s, all, versions)
		if err != nil || !more {
			return all, versions, err
		}
	}
	return all, versions, nil
}

// aptVersions adds the versions of packages that go elsewhere than apt would have them go, and reports whether there
// were any.
func (p *packages) aptVersions(ctx context.Context, s host.UpgradeScope, all []host.Upgrade, versions map[string]string) (more bool, err error) {
	var ask []string
	for _, u := range all {
		_, settled := versions[u.Name]
		switch {
		case settled || u.From == "" || u.To == "":
		case excluded(s.Exclude, u.Name):
			versions[u.Name], more = u.From, true
		case s.Security:
			ask = append(ask, u.Name)
		}
	}
	if len(ask) == 0 {
		return more, nil
	}
	repairs, err := p.aptSecurity(ctx, ask)
	if err != nil {
		return false, err
	}
	for _, u := range all {
		if !slices.Contains(ask, u.Name) {
			continue
		}
		switch repair := repairs[u.Name]; repair {
		case u.To:
		case "":
			versions[u.Name], more = u.From, true
		default:
			versions[u.Name], more = repair, true
		}
	}
	return more, nil
}

// aptSecurity returns the newest versions of security repositories that are newer than what is installed.
func (p *packages) aptSecurity(ctx context.Context, names []string) (map[string]string, error) {
	sources, err := p.run(ctx, []string{"apt-cache", "policy"})
	if err != nil {
		return nil, err
	}
	tables, err := p.run(ctx, append([]string{"apt-cache", "policy", "--"}, names...))
	if err != nil {
		return nil, err
	}
	return parseVersionTables(tables, securitySources(sources)), nil
}

// aptAutomatic returns which of the packages were installed for others alone.
func (p *packages) aptAutomatic(ctx context.Context, versions map[string]string) ([]string, error) {
	if len(versions) == 0 {
		return nil, nil
	}
	out, err := p.run(ctx, append([]string{"apt-mark", "showauto", "--"}, sortedNames(versions)...))
	return strings.Fields(string(out)), err
}

// parseSimulation reads what "apt-get -s" says: lines such as "Inst libc6 [2.36-9] (2.36-10 Debian:12.9/stable [amd64])",
// without the brackets if the package is new, and "Remv libold [1.0]".
func parseSimulation(out []byte) []host.Upgrade {
	var all []host.Upgrade
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if len(words) < 3 {
			continue
		}
		u := host.Upgrade{Name: words[1]}
		rest := words[2:]
		if from, ok := strings.CutPrefix(rest[0], "["); ok {
			u.From, rest = strings.TrimSuffix(from, "]"), rest[1:]
		}
		switch words[0] {
		case "Inst":
			if len(rest) == 0 || !strings.HasPrefix(rest[0], "(") {
				continue
			}
			u.To = strings.Trim(rest[0], "()")
		case "Remv", "Purg":
		default:
			continue
		}
		if u.From != "" || u.To != "" {
			all = append(all, u)
		}
	}
	return all
}

// securitySources are the sources in "apt-cache policy" whose release says that it is for security, as the words that
// name them there: "http://deb.debian.org/debian-security bookworm-security/main amd64 Packages".
func securitySources(out []byte) map[string]bool {
	sources := map[string]bool{}
	source := ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		release, ok := strings.CutPrefix(line, "release ")
		if !ok {
			_, source, _ = strings.Cut(line, " ")
			continue
		}
		for field := range strings.SplitSeq(release, ",") {
			key, value, _ := strings.Cut(strings.TrimSpace(field), "=")
			suite := (key == "a" || key == "n") && strings.HasSuffix(value, "-security")
			if suite || key == "l" && strings.Contains(strings.ToLower(value), "security") {
				sources[source] = true
			}
		}
	}
	return sources
}

// parseVersionTables reads what "apt-cache policy" says of packages: below the name, versions from the newest to the
// oldest, each above its sources; *** is before the one that is installed.
func parseVersionTables(out []byte, security map[string]bool) map[string]string {
	const indent = 5 // of a version; its sources are further in
	newest := map[string]string{}
	name, version, older := "", "", false
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, "\n")
		if n, ok := strings.CutSuffix(line, ":"); ok && !strings.HasPrefix(line, " ") {
			name, version, older = n, "", false
			continue
		}
		if len(line) <= indent || older || strings.TrimLeft(line[:indent], " *") != "" {
			continue
		}
		words := strings.TrimSpace(line[indent:])
		if line[indent] != ' ' {
			var priority string
			version, priority, _ = strings.Cut(words, " ")
			if strings.HasPrefix(priority, "-") { // by apt_preferences(5): never
				version = ""
			}
			older = strings.Contains(line[:indent], "*")
			continue
		}
		if _, source, _ := strings.Cut(words, " "); security[source] && name != "" && version != "" && newest[name] == "" {
			newest[name] = version
		}
	}
	return newest
}
