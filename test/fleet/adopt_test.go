//go:build linux

package fleet_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/test/fleet"
)

// adopted is what vigo-agent adopt says of a machine.
type adopted struct {
	Resources []struct{ Module, Type, Identity string } `json:"resources"`
	LeftOut   []struct{ Type, Name, Why string }        `json:"left_out"`
}

// TestAdopt has a machine that was set up by hand adopted: the policy is a repository without a mistake, has all of it but the
// secrets, changes nothing, repairs what goes wrong afterwards, and makes the same of a fresh machine.
func TestAdopt(t *testing.T) {
	fleet.Require(t)
	t.Parallel() // it waits as much as it works
	m := startWithAgent(t, "adopt")
	m.CopyIn(t, filepath.Join(os.Getenv("VIGO_BIN"), "vigo"), "/usr/local/bin/vigo", 0o755)
	shell(t, m, adoptScript(t, "by-hand.sh"))

	var got adopted
	if err := json.Unmarshal([]byte(m.MustExec(t, "vigo-agent", "adopt", "/srv/policy", "-o", "json")), &got); err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	packages := 0
	for _, r := range got.Resources {
		there[r.Type+":"+r.Identity] = true
		if r.Type == "package" {
			packages++
		}
	}
	if packages > 5 {
		t.Errorf("%d packages are adopted: those of the system itself were not chosen", packages)
	}
	for want := range strings.Lines(adoptScript(t, "want.txt")) {
		if want = strings.TrimSpace(want); !there[want] {
			t.Errorf("%s is not adopted", want)
		}
	}
	left := map[string]string{}
	for _, l := range got.LeftOut {
		left[l.Name] = l.Why
	}
	for name, why := range map[string]string{"/etc/app/db.conf": "password", "/etc/app/tls.pem": "private key", "/etc/app/huge": "300000 bytes", "alice": "hash"} {
		if !strings.Contains(left[name], why) {
			t.Errorf("left out %s: %q, want %q", name, left[name], why)
		}
	}
	shell(t, m, `! grep -r -e s3cret -e "$(getent shadow alice | cut -d: -f2)" /srv/policy`)
	shell(t, m, "vigo lint /srv/policy && vigo fmt --check /srv/policy")

	before := adoptState(t, m)
	if run, code := applyOn(t, m, "/srv/policy", "--dry-run"); code != 0 || !run.Quiet() || run.Counts.OK != len(got.Resources) {
		t.Errorf("the dry run is not empty: %s", brief(run))
	}
	if run, code := applyOn(t, m, "/srv/policy"); code != 0 || !run.Quiet() {
		t.Errorf("the first run changes something: %s", brief(run))
	}
	if diff := cmp.Diff(before, adoptState(t, m)); diff != "" {
		t.Errorf("the first run changed the machine:\n%s", diff)
	}

	shell(t, m, adoptScript(t, "drift.sh"))
	if cmp.Equal(before, adoptState(t, m)) {
		t.Fatal("nothing went wrong")
	}
	run, code := applyOn(t, m, "/srv/policy")
	if code != 0 || run.Counts.Corrected < 14 {
		t.Errorf("the repair: exit status %d, %s", code, brief(run))
	}
	if diff := cmp.Diff(before, adoptState(t, m)); diff != "" {
		t.Errorf("the repair left a difference (-before +after):\n%s", diff)
	}
	if run, _ := applyOn(t, m, "/srv/policy"); !run.Quiet() {
		t.Errorf("the run after the repair: %s", brief(run))
	}
	moveTo(t, m, before)
	t.Logf("%d resources adopted, %d corrected after the drift, %d left out", len(got.Resources), run.Counts.Corrected, len(got.LeftOut))
}

// moveTo has a fresh machine become what the adopted one is, but for the secrets.
func moveTo(t *testing.T, from *fleet.Machine, state []string) {
	t.Helper()
	fresh := startWithAgent(t, "fresh")
	fresh.WriteFile(t, "/root/policy.tgz.b64", from.MustExec(t, "/bin/sh", "-ec", "tar -C /srv -cz policy | base64"), 0o600)
	shell(t, fresh, "base64 -d /root/policy.tgz.b64 | tar -C /srv -xz")
	if run, code := applyOn(t, fresh, "/srv/policy", "--node", "adopt"); code != 0 {
		t.Errorf("on a fresh machine: exit status %d, %s", code, brief(run))
	}
	if run, _ := applyOn(t, fresh, "/srv/policy", "--node", "adopt"); !run.Quiet() {
		t.Errorf("on a fresh machine, again: %s", brief(run))
	}
	if diff := cmp.Diff(movable(state), movable(adoptState(t, fresh))); diff != "" {
		t.Errorf("the fresh machine is not the same:\n%s", diff)
	}
}

// ownOnly are the files of the state that one machine has for itself: secrets, what is left out, what is in another order.
var ownOnly = regexp.MustCompile(`/etc/app/(db\.conf|tls\.pem|huge)|/usr/local/bin/vigo( |$)|  /etc/(fstab|group|passwd|machine-id)$`)

// movable leaves out what another machine cannot have.
func movable(state []string) []string {
	return slices.DeleteFunc(slices.Clone(state), ownOnly.MatchString)
}

func adoptScript(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/adopt/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// adoptState is the state of a machine, line by line.
func adoptState(t *testing.T, m *fleet.Machine) []string {
	t.Helper()
	return strings.Split(m.MustExec(t, "/bin/sh", "-ec", adoptScript(t, "state.sh")), "\n")
}
