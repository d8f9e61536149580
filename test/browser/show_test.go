package browser

import (
	"fmt"
	"testing"
	"time"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/report"
)

// show fills a fleet with what there is to see: 58 nodes of three sorts, most of them well.
func (f *fleet) show(t *testing.T) {
	t.Helper()
	waiting := note("canary", time.Hour)
	waiting.Digest, waiting.Commit, waiting.Approvals = older, "b77e001aa2bb3cc4dd5ee6ff708192a3b4c5d6e7", []string{"ada@example.com"}
	waiting.Waiting = &report.Waiting{Digest: stable, Commit: "4f1c2a9d8e7b6a5f4c3d2e1f0a9b8c7d6e5f4a3b", Since: time.Now().Add(-25 * time.Minute), Needs: 2, Missing: 1,
		Approved: []string{"3f0a9c"}, Note: "new TLS settings", Reason: "approvals: 1 of 2"}
	f.publish(t, note("production", time.Hour), waiting, note("factory", time.Second))
	f.roll(t, "canary")
	_, err := f.client.BeginMaintenance(t.Context(), report.Maintenance{Nodes: []string{"db-0[12]"}, Reason: "new disks, CHG-1234", Until: time.Now().Add(2 * time.Hour)})
	must(t, err)
	for i := range 36 {
		m := f.join(t, fmt.Sprintf("web-%02d", i+1), "production", map[string]string{"role": "web", "environment": "production"})
		m.traits = traitsOf(i)
		f.fate(m, i)
		m.checkIn(t)
		if m.run.Counts.Failed > 0 || i == 8 { // for some time already
			for range 3 {
				m.checkIn(t)
			}
		}
	}
	for i := range 14 {
		m := f.join(t, fmt.Sprintf("db-%02d", i+1), []string{"production", "canary"}[i%7/6], map[string]string{"role": "db", "environment": "production"})
		m.traits = traitsOf(i + 3)
		if m.channel == "canary" {
			m.bundle = older
		}
		m.checkIn(t)
	}
	for i := range 8 {
		m := f.join(t, fmt.Sprintf("press-%d", i+1), "factory", map[string]string{"role": "edge", "site": "plant-3"})
		m.traits = traitsOf(i)
		m.checkIn(t)
	}
}

// fate is what happens to a web server.
func (f *fleet) fate(m *machine, i int) {
	switch i {
	case 16, 21:
		m.run.Counts = report.Counts{OK: 40, Failed: 1, Skipped: 1}
		m.run.Results = []report.Result{{ID: "nginx/service:nginx", Outcome: report.Failed, Took: 3 * time.Second,
			Reason: "starting nginx: exit 1\nnginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)"},
			{ID: "nginx/probe:http", Outcome: report.Skipped, Reason: "service:nginx failed"}}
		m.run.Took = 3400 * time.Millisecond
	case 4, 27:
		m.run.Counts = report.Counts{OK: 41, Drift: 1}
		m.run.Results = []report.Result{{ID: "sshd/file:/etc/ssh/sshd_config", Outcome: report.Drift, Controls: []string{"cis-debian-12:5.1"}, Changes: []change.Change{
			{Field: "mode", From: "0644", To: "0600"}, {Field: "content", Diff: sshdDiff}}}}
	case 8, 11:
		m.run.Counts = report.Counts{OK: 40, Corrected: 2, Refreshed: 1}
		m.run.Results = []report.Result{{ID: "sshd/file:/etc/ssh/sshd_config", Outcome: report.Corrected, Changes: []change.Change{{Field: "mode", From: "0644", To: "0600"}, {Field: "content", Diff: sshdDiff}}},
			{ID: "sshd/service:ssh", Outcome: report.Corrected, Refresh: "done", Changes: []change.Change{{Field: "state", From: "stopped", To: "running"}}}}
		m.run.Took = 1900 * time.Millisecond
	case 30:
		m.bundle = older
		m.refusals = []report.Refusal{{Name: "rollback", Detail: "pointer 3.1409 is older than 3.1412", What: "channel-production", First: time.Now().Add(-7 * time.Minute), Count: 14}}
	}
}

const sshdDiff = `@@ -12,5 +12,5 @@
 Port 22
-PermitRootLogin yes
+PermitRootLogin no
 PasswordAuthentication no
-AllowGroups sudo
+AllowGroups sudo ops
`

func traitsOf(i int) map[string]any {
	version := []string{"12", "12", "12", "11", "13"}[i%5]
	codename := map[string]string{"11": "bullseye", "12": "bookworm", "13": "trixie"}[version]
	openssl := map[string]string{"11": "1.1.1w-0+deb11u2", "12": "3.0.15-1~deb12u1", "13": "3.5.1-1"}[version]
	packages := map[string]any{"openssl": map[string]any{"version": openssl, "arch": "amd64"}}
	for _, name := range []string{"adduser", "apt", "bash", "coreutils", "curl", "dpkg", "grep", "nginx", "openssh-server", "sudo", "systemd", "tar", "tzdata"} {
		packages[name] = map[string]any{"version": fmt.Sprintf("%d.%d-1", len(name), i%4), "arch": "amd64"}
	}
	return map[string]any{
		"os":       map[string]any{"family": "debian", "id": "debian", "version": version, "codename": codename, "name": "Debian GNU/Linux " + version},
		"kernel":   map[string]any{"name": "Linux", "release": "6.1.0-" + fmt.Sprint(18+i%3) + "-amd64"},
		"memory":   map[string]any{"total_mb": 2048 << (i % 3), "available_mb": 1200, "used_percent": 40, "swap_total_mb": 0, "swap_used_percent": 0},
		"packages": packages,
		report.ControlsTrait: report.ControlDoc{"cis-debian-12:2.2.1": {"nginx/service:nginx", "nginx/probe:http"}, "cis-debian-12:5.1": {"sshd/file:/etc/ssh/sshd_config"},
			"cis-debian-12:5.2": {"sshd/file:/etc/ssh/sshd_config", "sshd/service:ssh"}, "cis-debian-12:1.4.1": {"boot/file:/boot/grub/grub.cfg"}},
	}
}
