//go:build linux

package fleet_test

import (
	_ "embed"
	"strings"
	"testing"

	"vigo.dev/pkg/report"
	"vigo.dev/test/fleet"
)

// repositoriesScript makes a repository for rpm and one for pacman on the machine, and takes dpkg out of sight, by whose
// database Vigo would know the machine for a Debian.
//
//go:embed testdata/managers/repositories.sh
var repositoriesScript string

// A managerCase is the life of two packages, demo and other, of which version 1.0-1 and then 2.0-1 is on offer; 2.0-1 of demo
// needs a third, fresh.
type managerCase struct {
	name   string
	before string // sh
	source string // resources that make the repository known
	newer  string // sh: has the repository offer 2.0-1, where it does not have both
	query  string // sh: prints "name version" of a package that is installed
	pin    string // a line of the resource demo, that asks for 1.0-1
}

func managerCases() []managerCase {
	rpm := func(program, before, source string) managerCase {
		return managerCase{
			name: program, before: before, source: source, pin: "    version: 1.0-1\n",
			query: "rpm -q --qf '%{NAME} %{VERSION}-%{RELEASE}\\n' ",
		}
	}
	return []managerCase{
		rpm("dnf", "mv /usr/bin/zypper /usr/bin/zypper.away; mkdir -p /etc/yum.repos.d",
			"  - yum_repository: local\n    uris: [\"file:///srv/rpm\"]\n    check_packages: false\n"),
		rpm("zypper", "mv /usr/bin/zypper.away /usr/bin/zypper",
			"  - zypper_repository: local\n    uris: [\"dir:/srv/rpm\"]\n    check_packages: false\n"),
		{
			name:   "pacman",
			before: "mv /var/lib/rpm /var/lib/rpm.away; mkdir -p /var/lib/pacman/local; /srv/pacman/offer 1.0-1",
			newer:  "/srv/pacman/offer 2.0-1; pacman -Sy --noconfirm",
			query:  "pacman -Q ",
		},
	}
}

// TestPackageManagers has a booted machine drive the real dnf, zypper and pacman, each with a repository of its own, and apt
// install ten packages in one transaction.
func TestPackageManagers(t *testing.T) {
	fleet.Require(t)
	t.Parallel() // it waits as much as it works
	m := startWithAgent(t, "managers")
	t.Run("apt", func(t *testing.T) { aptInstallsTogether(t, m) })
	m.MustExec(t, "apt-get", "-qq", "-y", "install", "createrepo-c", "dnf", "pacman-package-manager", "rpm", "zypper")
	shell(t, m, repositoriesScript)
	for _, c := range managerCases() {
		t.Run(c.name, func(t *testing.T) { c.run(t, m) })
	}
}

// policyOf puts a policy with these resources on the machine and applies it.
func policyOf(t *testing.T, m *fleet.Machine, dir, resources string) {
	t.Helper()
	m.WriteFile(t, dir+"/fleet.yaml", "kind: Fleet\nname: managers\n", 0o644)
	m.WriteFile(t, dir+"/roles/all.yaml", "kind: Role\nmodules: [case]\n", 0o644)
	m.WriteFile(t, dir+"/modules/case/module.yaml", "kind: Module\nresources:\n"+resources, 0o644)
}

// converged applies resources until nothing is left, which must be one run, and returns it.
func converged(t *testing.T, m *fleet.Machine, dir, resources string) report.Run {
	t.Helper()
	policyOf(t, m, dir, resources)
	said, _ := applyOn(t, m, dir, "--dry-run")
	run, code := applyOn(t, m, dir)
	if code != 0 || run.Counts.Failed+run.Counts.Skipped > 0 || run.Counts.Changed == 0 {
		t.Fatalf("exit status %d: %s", code, brief(run))
	}
	for i, r := range said.Results {
		if i >= len(run.Results) || r.ID != run.Results[i].ID {
			t.Errorf("a dry run said %s, then %s", brief(said), brief(run))
			break
		}
	}
	if again, _ := applyOn(t, m, dir); !again.Quiet() {
		t.Errorf("a second run: %s", brief(again))
	}
	return run
}

func (c managerCase) run(t *testing.T, m *fleet.Machine) {
	shell(t, m, c.before)
	dir := "/srv/managers/" + c.name
	is := func(want string) {
		t.Helper()
		for _, line := range strings.Split(want, ", ") {
			name, version, _ := strings.Cut(line, " ")
			if version == "" {
				shell(t, m, "! "+c.query+name)
			} else {
				shell(t, m, `test "$(`+c.query+name+`)" = "`+line+`"`)
			}
		}
	}
	changes := func(run report.Run) string {
		var all []string
		for _, r := range run.Results {
			for _, change := range r.Changes {
				all = append(all, change.String())
			}
		}
		return strings.Join(all, ", ")
	}
	converged(t, m, dir, c.source+"  - package: demo\n"+c.pin+"  - package: other\n"+c.pin)
	is("demo 1.0-1, other 1.0-1, fresh")

	if c.newer != "" {
		shell(t, m, c.newer)
	}
	run := converged(t, m, dir, c.source+"  - package_upgrade: all\n    exclude: [oth*]\n")
	if got := changes(run); !strings.HasPrefix(got, "demo: 1.0-1 -> 2.0-1") || strings.Contains(got, "other") {
		t.Errorf("an upgrade without other reports %q", got)
	}
	is("demo 2.0-1, other 1.0-1, fresh 1.0-1")

	run = converged(t, m, dir, c.source+"  - package: other\n    ensure: latest\n")
	if got := changes(run); got != "version: 1.0-1 -> 2.0-1" {
		t.Errorf("latest reports %q", got)
	}
	is("demo 2.0-1, other 2.0-1")

	converged(t, m, dir, c.source+"  - package: demo\n    ensure: absent\n  - package: other\n    ensure: absent\n  - package: fresh\n    ensure: absent\n")
	is("demo, other, fresh")

	policyOf(t, m, dir, c.source+"  - package: nosuch\n")
	if run, _ := applyOn(t, m, dir); run.Counts.Failed != 1 || !strings.Contains(brief(run), "not found") {
		t.Errorf("a package that nobody has: %s", brief(run))
	}
}

// aptInstallsTogether counts what apt says that it did.
func aptInstallsTogether(t *testing.T, m *fleet.Machine) {
	names := strings.Fields("libbrotli1 libjansson4 libjbig0 liblzo2-2 libnghttp2-14 libpng16-16 libuv1 libyaml-0-2 netbase tree")
	for _, ensure := range []string{"present", "absent"} {
		resources := ""
		for _, name := range names {
			resources += "  - package: " + name + "\n    ensure: " + ensure + "\n"
		}
		m.MustExec(t, "rm", "-f", "/var/log/apt/history.log")
		run := converged(t, m, "/srv/managers/apt", resources)
		if run.Counts.Changed != len(names) {
			t.Errorf("%s: %s", ensure, brief(run))
		}
		t.Logf("apt, ten packages %s: %s", ensure, run.Took)
		out, _, _, err := m.Exec(t.Context(), "grep", "-c", "^Commandline:", "/var/log/apt/history.log")
		if err != nil || strings.TrimSpace(out) != "1" {
			t.Errorf("%s: %v, apt made %s transactions, want 1", ensure, err, strings.TrimSpace(out))
		}
	}
}
