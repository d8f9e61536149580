package resources

import (
	"strings"
	"testing"

	"vigo.dev/pkg/host/hosttest"
	"vigo.dev/pkg/resource"
)

// The keys that the policy declares for the user stay, whatever their comments; those of others, and taken back ones, do not,
// whatever key is in their comments.
func TestPurgeKeepsDeclaredKeys(t *testing.T) {
	t.Parallel()
	const head = "AAAAC3NzaC1lZDI1NTE5" // of every key of the type
	m, err := hosttest.Parse([]byte(strings.ReplaceAll(`user deploy uid=1500 gid=1500 home=/home/deploy shell=/bin/sh
group deploy gid=1500
file /home/deploy/.ssh/authorized_keys mode=0600 owner=1500:1500 "ssh-ed25519 KEYours a\nssh-rsa KEYevil b\nno-pty ssh-ed25519 KEYback c\nssh-ed25519 KEYroot d\nssh-ed25519 KEYevil KEYours\n"
`, "KEY", head)))
	if err != nil {
		t.Fatal(err)
	}
	u := &User{Name: "deploy", PurgeSSHKeys: true}
	u.Acquaint([]resource.Resource{u,
		&AuthorizedKey{Name: "ours", User: "deploy", Type: "ssh-ed25519", Key: head + "ours"},
		&AuthorizedKey{Name: "back", User: "deploy", Type: "ssh-ed25519", Key: head + "back", Ensure: "absent"},
		&AuthorizedKey{Name: "roots", User: "root", Type: "ssh-ed25519", Key: head + "root"},
	})
	plan, err := u.Plan(t.Context(), m.Host())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := m.String(); !strings.Contains(got, `"ssh-ed25519 `+head+`ours a\n"`) {
		t.Errorf("the machine is\n%s", got)
	}
}

func TestPurgeThatWasToldNothing(t *testing.T) {
	t.Parallel()
	m, err := hosttest.Parse([]byte("user deploy uid=1500 gid=1500 home=/home/deploy shell=/bin/sh\ngroup deploy gid=1500\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&User{Name: "deploy", PurgeSSHKeys: true}).Plan(t.Context(), m.Host()); err == nil {
		t.Error("it would take all keys away")
	}
}
