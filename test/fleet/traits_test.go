//go:build linux

package fleet_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vigo.dev/test/fleet"
)

// What vigo-agent says of a booted machine is what the machine's own programs say of it.
func TestTraitsOfAMachine(t *testing.T) {
	fleet.Require(t)
	bin := os.Getenv("VIGO_BIN")
	if bin == "" {
		t.Skip("VIGO_BIN does not say where vigo-agent is")
	}
	m := fleet.Start(t, fleet.Options{Name: "web-1", Network: fleet.NewNetwork(t)})
	m.CopyIn(t, filepath.Join(bin, "vigo-agent"), "/usr/local/bin/vigo-agent", 0o755)
	m.MustExec(t, "useradd", "--create-home", "--shell", "/bin/bash", "ada")
	m.MustExec(t, "mkdir", "-p", "/etc/vigo/traits.d")
	m.WriteFile(t, "/etc/vigo/traits.d/rack.sh", "#!/bin/sh\necho \"{\\\"row\\\": 4, \\\"home\\\": \\\"$HOME\\\"}\"\n", 0o755)
	m.WriteFile(t, "/etc/vigo/traits.d/loose.sh", "#!/bin/sh\ntouch /was-run\n", 0o757)
	m.WriteFile(t, "/usr/local/bin/listen", "#!/usr/bin/perl\nuse IO::Socket::INET; my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '0.0.0.0', LocalPort => 1717) or die; sleep 3600;\n", 0o755)
	m.MustExec(t, "systemd-run", "--unit=listener", "--service-type=exec", "/usr/local/bin/listen")
	m.MustExec(t, "sh", "-c", "until grep -q :06B5 /proc/net/tcp; do sleep 0.1; done")

	var got struct {
		OS        struct{ ID string }
		Boot      struct{ ID string }
		Platform  struct{ Container, Arch string }
		Services  map[string]struct{ Running, Enabled, Failed bool }
		Listeners map[string]struct {
			Process, Executable string
			Public              bool
		}
		Users       map[string]struct{ System, Login bool }
		Filesystems map[string]struct {
			Size int `json:"size_mb"`
		}
		Packages map[string]struct{ Version string }
		Updates  *struct{ Pending int }
		External map[string]any
	}
	text, problems, code, err := m.Exec(t.Context(), "/usr/local/bin/vigo-agent", "traits", "-o", "json")
	if err != nil || code != 0 {
		t.Fatalf("vigo-agent traits: exit status %d, %v\n%s", code, err, problems)
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	t.Logf("%s\nproblems: %s", text, problems)
	if len(strings.Split(strings.TrimSpace(problems), "\n")) > 1 || !strings.Contains(problems, "loose.sh: is not run") {
		t.Errorf("the only problem should be the executable that anybody may write: %s", problems)
	}
	if want := m.MustExec(t, "dpkg-query", "-W", "-f", "${Version}", "bash"); got.Packages["bash"].Version != want {
		t.Errorf("bash %q, dpkg says %q", got.Packages["bash"].Version, want)
	}
	if want := m.MustExec(t, "dpkg", "--print-architecture"); got.Platform.Arch+"\n" != want || got.Platform.Container != "systemd-nspawn" {
		t.Errorf("platform %+v, dpkg says %q", got.Platform, want)
	}
	if got.OS.ID != "debian" || got.Boot.ID == "" || got.Filesystems["/"].Size == 0 {
		t.Errorf("os %+v, boot %+v, file systems %+v", got.OS, got.Boot, got.Filesystems)
	}
	if s := got.Services["listener"]; !s.Running || s.Failed {
		t.Errorf("the service that listens: %+v", s)
	}
	if l := got.Listeners["tcp/1717"]; l.Process != "listen" || l.Executable != "/usr/bin/perl" || !l.Public {
		t.Errorf("what listens: %+v", l)
	}
	if u := got.Users["ada"]; u.System || !u.Login {
		t.Errorf("ada: %+v", u)
	}
	rack, _ := got.External["rack"].(map[string]any)
	if rack["row"] != 4.0 || got.External["loose"] != nil {
		t.Errorf("external: %v", got.External)
	}
	if _, _, code, err := m.Exec(t.Context(), "test", "-e", "/was-run"); err != nil || code == 0 {
		t.Errorf("an executable that anybody may write was run (%v)", err)
	}
}
