//go:build linux

package fleet_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// typeCases holds a file for each resource type: how the type is tried on a booted machine.
const typeCases = "testdata/types"

// A typeCase tries one resource type on a machine. The scripts are for /bin/sh as root, and ask other programs than Vigo.
type typeCase struct {
	name string // of the type; or of the type, "-", and what the case is about

	Setup    string    `yaml:"setup"`    // before the first run
	Present  yaml.Node `yaml:"present"`  // the resources of a module
	Check    string    `yaml:"check"`    // fails before the first run, succeeds after it
	Drift    string    `yaml:"drift"`    // does what somebody does by hand; check fails then
	Absent   yaml.Node `yaml:"absent"`   // the resources that undo it; optional
	Gone     string    `yaml:"gone"`     // succeeds once they did
	Packages []string  `yaml:"packages"` // of Debian, that the case needs
	Programs []string  `yaml:"programs"` // of testdata/programs, by package: they are built and put into /usr/local/bin
	Init     string    `yaml:"init"`     // openrc, runit or sysv: the case needs a machine with that init system
	Kernel   string    `yaml:"kernel"`   // own: the case needs a machine with a kernel of its own
	Played   string    `yaml:"played"`   // what a script of the case stands in for, since it cannot be had; and why
	Cannot   string    `yaml:"cannot"`   // why no machine here can show it; then nothing else is needed
}

// titleOf is a name for people: the type, which leads to its page, and what the case is about.
func titleOf(name string) string {
	kind, about, _ := strings.Cut(name, "-")
	return strings.TrimSuffix(fmt.Sprintf("[%s](reference/resources/%[1]s.md) %s", kind, about), " ")
}

// takenPort finds a port of the machine that a case takes.
var takenPort = regexp.MustCompile(`(?:127\.0\.0\.1:|LocalPort => )(\d{4,5})`)

// readCases reads the cases of all types, by type.
func readCases(t *testing.T) []typeCase {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(typeCases, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []typeCase
	ports := map[string]string{} // by whom they are taken; what one case starts may be there while the next is tried
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c := typeCase{name: strings.TrimSuffix(filepath.Base(path), ".yaml")}
		d := yaml.NewDecoder(bytes.NewReader(data))
		d.KnownFields(true)
		if err := d.Decode(&c); err != nil {
			t.Errorf("reading %s: %v", path, err)
			continue
		}
		if c.Cannot == "" && (c.Present.IsZero() || c.Check == "" || c.Drift == "") {
			t.Errorf("%s: want present, check and drift, or why it cannot be tried", path)
		}
		if c.Kernel != "" && c.Kernel != ownKernel {
			t.Errorf("%s: kernel: want own, or nothing", path)
		}
		if c.Absent.IsZero() != (c.Gone == "") {
			t.Errorf("%s: absent and gone belong together", path)
		}
		for _, script := range []string{c.Check, c.Gone} {
			if line := judgesNothing(script); line != "" {
				t.Errorf("%s: %q is not the last line, so sh -e goes on if it fails: write || exit 1 behind it", path, line)
			}
		}
		for _, found := range takenPort.FindAllStringSubmatch(string(data), -1) {
			if other, taken := ports[found[1]]; taken && other != path {
				t.Errorf("%s and %s take the port %s", other, path, found[1])
			}
			ports[found[1]] = path
		}
		cases = append(cases, c)
	}
	return cases
}

// judgesNothing is a line of a script that begins with ! and is not the last: POSIX has -e overlook it.
func judgesNothing(script string) string {
	lines := strings.Split(strings.TrimSpace(script), "\n")
	for _, line := range lines[:len(lines)-1] {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "! ") && !strings.Contains(line, "||") {
			return line
		}
	}
	return ""
}

// policy is a policy that has every machine keep some resources, as files by path.
func (c typeCase) policy(t *testing.T, resources yaml.Node) map[string]string {
	t.Helper()
	list, err := yaml.Marshal(map[string]any{"resources": &resources})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"fleet.yaml":               "kind: Fleet\nname: types\n",
		"modules/case/module.yaml": "kind: Module\n" + string(list),
		"roles/all.yaml":           "kind: Role\nmodules: [case]\n",
	}
}

// ownKernel is what a case says that a container cannot show.
const ownKernel = "own"

// on lists the cases for a machine with that kernel and init system, of those -run asks for.
func on(cases []typeCase, kernel, init string) []typeCase {
	_, wanted, _ := strings.Cut(flag.Lookup("test.run").Value.String(), "/")
	like := regexp.MustCompile(wanted)
	return slices.DeleteFunc(slices.Clone(cases), func(c typeCase) bool {
		return c.Kernel != kernel || c.Init != init || c.Cannot != "" || !like.MatchString(c.name)
	})
}

// packagesOf lists what the cases want installed.
func packagesOf(cases []typeCase) []string {
	var all []string
	for _, c := range cases {
		all = append(all, c.Packages...)
	}
	return all
}

// programsOf lists what the cases want built.
func programsOf(cases []typeCase) []string {
	var all []string
	for _, c := range cases {
		all = append(all, c.Programs...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// verdict is what a machine showed of one type.
type verdict struct {
	name                                    string
	converges, again, dry, repaired, undone string
	cannot                                  string
	kernel, init, played                    string
	tried                                   bool
}

const (
	yes = "yes"
	no  = "NO"
	na  = "–" // the type has nothing to undo
)

// tableOf renders what the machine showed.
func tableOf(rows []verdict) string {
	var b strings.Builder
	b.WriteString("| type | machine | converges | second run changes nothing | dry run said exactly that | drift is repaired | absent undoes it |\n|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		if r.cannot != "" {
			fmt.Fprintf(&b, "| %s | none: %s | | | | | |\n", titleOf(r.name), r.cannot)
			continue
		}
		machine := "container"
		if r.kernel == ownKernel {
			machine = "own kernel"
		}
		if r.init != "" {
			machine += ", " + r.init
		}
		if r.played != "" {
			machine += "; played: " + r.played
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", titleOf(r.name), machine, r.converges, r.again, r.dry, r.repaired, r.undone)
	}
	return b.String()
}
