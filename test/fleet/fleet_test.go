//go:build linux

package fleet_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"vigo.dev/test/fleet"
)

func TestTwoMachines(t *testing.T) {
	fleet.Require(t)
	net := fleet.NewNetwork(t)
	warm(t)
	began := time.Now()
	machines := fleet.StartAll(t, fleet.Options{Name: "web-1", Network: net}, fleet.Options{Name: "web-2", Network: net})
	t.Logf("two machines up after %v", time.Since(began).Round(time.Millisecond))
	a, b := machines[0], machines[1]

	if state := strings.TrimSpace(a.MustExec(t, "systemctl", "is-system-running")); state != "running" {
		t.Errorf("the system is %s:\n%s", state, a.MustExec(t, "systemctl", "--failed", "--no-pager"))
	}
	if got := strings.TrimSpace(a.MustExec(t, "hostname")); got != "web-1" {
		t.Errorf("host name %q", got)
	}
	if a.ReadFile(t, "/etc/machine-id") == b.ReadFile(t, "/etc/machine-id") {
		t.Error("two machines with one machine id")
	}
	a.MustExec(t, "ping", "-c1", "-W2", b.Addr().String())
	b.MustExec(t, "ping", "-c1", "-W2", fleet.HostName)

	a.MustExec(t, "apt-get", "install", "-y", "nginx-light", "tree")
	a.MustExec(t, "systemctl", "start", "nginx")
	a.MustExec(t, "systemctl", "is-active", "nginx")
	a.MustExec(t, "useradd", "--create-home", "ada")
	a.WriteFile(t, "/srv/www/deep/file", "hello\n", 0o640)

	client := http.Client{Transport: &http.Transport{DialContext: net.Host().DialContext, DisableKeepAlives: true}, Timeout: 5 * time.Second}
	page, err := client.Get("http://" + a.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	page.Body.Close()
	if page.StatusCode != http.StatusOK {
		t.Errorf("nginx answers %s", page.Status)
	}

	before := bootID(t, a)
	began = time.Now()
	if err := a.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("rebooted in %v", time.Since(began).Round(time.Millisecond))
	if after := bootID(t, a); after == before {
		t.Errorf("boot id %s before and after the reboot", after)
	}
	a.MustExec(t, "tree", "--version")
	a.MustExec(t, "systemctl", "is-active", "nginx")
	a.MustExec(t, "id", "ada")
	if got := a.MustExec(t, "stat", "-c", "%a %U", "/srv/www/deep/file"); got != "640 root\n" {
		t.Errorf("the file written is %q", got)
	}
	a.MustExec(t, "ping", "-c1", "-W2", b.Addr().String())
}

func TestLink(t *testing.T) {
	fleet.Require(t)
	net := fleet.NewNetwork(t)
	m := fleet.Start(t, fleet.Options{Network: net})
	host := net.Host()
	ping := func() error {
		_, _, code, err := m.Exec(t.Context(), "ping", "-c1", "-W1", fleet.HostName)
		if err == nil && code != 0 {
			err = fmt.Errorf("ping ends with exit code %d", code)
		}
		return err
	}
	reachable := func(context.Context) error { return ping() }
	if err := ping(); err != nil {
		t.Fatalf("pinging at first: %v", err)
	}

	if err := m.CutLink(); err != nil {
		t.Fatal(err)
	}
	if err := ping(); err == nil {
		t.Error("the machine answers over a cut link")
	}
	if got := strings.TrimSpace(m.ReadFile(t, "/sys/class/net/eth0/operstate")); got == "up" {
		t.Errorf("eth0 is %s over a cut link", got)
	}
	if err := m.RestoreLink(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the restored link", reachable)

	if err := m.Delay(150*time.Millisecond, 0); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the slow link", reachable)
	began := time.Now()
	if err := ping(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("ping took %v over a link with 150 ms each way", took)
	}
	if err := m.Delay(0, 1); err != nil {
		t.Fatal(err)
	}
	if err := ping(); err == nil {
		t.Error("the machine answers over a link that loses everything")
	}
	if err := m.Delay(0, 0); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the good link", reachable)
	sendMuch(t, host, m)
}

// sendMuch downloads a large file over the link, by which a wrong checksum or a lost segment would show.
func sendMuch(t *testing.T, host *fleet.Host, m *fleet.Machine) {
	t.Helper()
	const size = 20 << 20
	l, err := host.Listen(t.Context(), "tcp", host.Addr().String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write(make([]byte, size))
			c.Close()
		}
	}()
	port := l.Addr().String()[strings.LastIndex(l.Addr().String(), ":")+1:]
	began := time.Now()
	script := fmt.Sprintf("wc -c </dev/tcp/%s/%s", fleet.HostName, port)
	if got := strings.TrimSpace(m.MustExec(t, "bash", "-c", script)); got != fmt.Sprint(size) {
		t.Errorf("%s bytes arrived, want %d", got, size)
	}
	t.Logf("%d MiB through the relay in %v", size>>20, time.Since(began).Round(time.Millisecond))
}

func TestPower(t *testing.T) {
	fleet.Require(t)
	m := fleet.Start(t, fleet.Options{Files: map[string]string{"/etc/fleet/role": "db\n"}})
	if got := m.ReadFile(t, "/etc/fleet/role"); got != "db\n" {
		t.Errorf("a file laid before the boot reads %q", got)
	}
	m.WriteFile(t, "/root/kept", "yes", 0o600)
	if err := m.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := m.Exec(t.Context(), "true"); err == nil {
		t.Error("a machine that is off runs a command")
	}
	if err := m.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := bootID(t, m)
	if err := m.PowerCut(); err != nil {
		t.Fatal(err)
	}
	if err := m.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if bootID(t, m) == before {
		t.Error("the boot id is that of before the power cut")
	}
	if got := m.ReadFile(t, "/root/kept"); got != "yes" {
		t.Errorf("the file reads %q", got)
	}
	before = bootID(t, m)
	m.MustExec(t, "systemd-run", "--on-active=1s", "systemctl", "reboot")
	if err := m.WaitReboot(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(m.Log(), "Debian GNU/Linux 12") {
		t.Errorf("the console shows:\n%s", m.Log())
	}
	if err := m.CutLink(); err == nil {
		t.Error("a machine without a network has its link cut")
	}
}

func TestPackages(t *testing.T) {
	fleet.Require(t)
	m := fleet.Start(t, fleet.Options{})
	m.MustExec(t, "apt-get", "install", "-y", "fleet-demo=1.0")
	if got := m.ReadFile(t, "/usr/share/fleet-demo/version"); got != "1.0\n" {
		t.Errorf("version %q", got)
	}
	m.MustExec(t, "apt-get", "install", "-y", "fleet-demo", "nftables")
	if got := m.ReadFile(t, "/usr/share/fleet-demo/version"); got != "2.0\n" {
		t.Errorf("version %q after the upgrade", got)
	}
	m.MustExec(t, "nft", "add", "table", "inet", "fleet")
	m.MustExec(t, "sysctl", "-w", "net.ipv4.ip_forward=1")
	_, _, code, err := m.Exec(t.Context(), "sysctl", "-w", "kernel.panic=1")
	if err != nil || code == 0 {
		t.Errorf("a setting of the computer below could be changed: exit code %d, %v", code, err)
	}
}

func TestExec(t *testing.T) {
	fleet.Require(t)
	m := fleet.Start(t, fleet.Options{})
	for _, c := range []struct {
		argv []string
		out  string
		code int
	}{
		{[]string{"echo", "a b", "$HOME"}, "a b $HOME\n", 0},
		{[]string{"sh", "-c", "exit 3"}, "", 3},
		{[]string{"sh", "-c", "kill -9 $$"}, "", 137},
		{[]string{"no-such-program"}, "", 127},
		{[]string{"pwd"}, "/\n", 0},
		{[]string{"sh", "-c", "sleep 60 & echo started"}, "started\n", 0},
		{[]string{"sed", "s/^0::.*exec$/ok/;t;d", "/proc/self/cgroup"}, "ok\n", 0},
		{[]string{"sh", "-c", "date -s @0 2>/dev/null"}, "Thu Jan  1 00:00:00 UTC 1970\n", 1},
	} {
		out, stderr, code, err := m.Exec(t.Context(), c.argv...)
		if err != nil || out != c.out || code != c.code {
			t.Errorf("%q: %q, exit code %d, %v (%s); want %q, %d", c.argv, out, code, err, stderr, c.out, c.code)
		}
	}
	if out, _, _, err := m.ExecInput(t.Context(), strings.NewReader("in"), "cat"); err != nil || out != "in" {
		t.Errorf("cat: %q, %v", out, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, _, _, err := m.Exec(ctx, "sleep", "4711"); err == nil {
		t.Error("a command outlived its context")
	}
	waitFor(t, "the end of the command", func(context.Context) error {
		if _, _, code, err := m.Exec(t.Context(), "pgrep", "-f", "sleep 4711"); err != nil || code == 0 {
			return fmt.Errorf("it runs on (%v)", err)
		}
		return nil
	})
	m.CopyIn(t, "fleet_test.go", "/opt/x/prog", 0o755)
	m.CopyIn(t, "fleet_test.go", "/opt/x/prog", 0o700)
	if got := m.MustExec(t, "stat", "-c", "%a", "/opt/x/prog"); got != "700\n" {
		t.Errorf("mode %q", got)
	}
}

// warm builds the image, if need be, so that what is timed afterwards is the booting.
func warm(t *testing.T) {
	t.Helper()
	cache, err := fleet.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := fleet.Image(t.Context(), cache); err != nil {
		t.Fatal(err)
	}
	t.Logf("image there after %v", time.Since(began).Round(time.Millisecond))
}

func bootID(t *testing.T, m machine) string {
	t.Helper()
	id, err := m.BootID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// waitFor waits, for a while, until something is so.
func waitFor(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := fleet.WaitFor(ctx, 50*time.Millisecond, try); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// machine is what a container and a virtual machine have in common.
type machine interface {
	Exec(ctx context.Context, argv ...string) (stdout, stderr string, code int, err error)
	MustExec(t testing.TB, argv ...string) string
	WriteFile(t testing.TB, path, text string, mode os.FileMode)
	CopyIn(t testing.TB, hostPath, path string, mode os.FileMode)
	BootID(ctx context.Context) (string, error)
}
