package hosttest_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/host/hosttest"
)

const canonical = `hostname web-1
dir /empty mode=0755
file /etc/hosts mode=0644
	127.0.0.1 localhost
	
	::1 localhost
file /etc/motd mode=0600 owner=alice:sudo "hello\n"
link /etc/x -> ../y
other /dev/null mode=0666
device /dev/sdb1 size=64M holds=0x438:53ef,0x10000:00ff
file /var/odd mode=4755 links=2 "no newline\nat the end"
user alice uid=1000 gid=1000 home=/home/alice shell=/bin/bash groups=sudo comment="Alice A." password=! expires=2030-01-01
group alice gid=1000
group sudo gid=27 members=alice
package nginx 1.22.1 arch=amd64 held
service ssh boot=enabled running=true
service x boot=disabled running=false live=false start=fails
sysctl kernel.printk "4 4 1 7"
mount tmpfs /tmp tmpfs rw,nosuid,size=1m busy
quota /home user
quota /home user 1000 blocks=1024/2048 inodes=0/10
`

func TestPrintGivesBackWhatWasParsed(t *testing.T) {
	t.Parallel()
	m, err := hosttest.Parse([]byte(canonical))
	if err != nil {
		t.Fatal(err)
	}
	devices := "other /dev/null mode=0666\ndevice /dev/sdb1 size=64M holds=0x438:53ef,0x10000:00ff\n"
	sorted := strings.Replace(canonical, devices, "", 1)
	sorted = strings.Replace(sorted, "dir /empty", devices+"dir /empty", 1)
	if diff := cmp.Diff(sorted, m.String()); diff != "" {
		t.Error(diff)
	}
	again, err := hosttest.Parse([]byte(m.String()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m.String(), again.String()); diff != "" {
		t.Error(diff)
	}
}

func TestMistakesInTheTextAreNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"fyle /x":                          `host: line 1: unknown word "fyle"`,
		"\n\nfile x":                       `line 3: "x" is not a clean absolute path`,
		"file /x mode=rw":                  "not an octal mode",
		"file /x owner=bob:root":           `no user "bob"`,
		"user a groups=wheel":              `no group "wheel"`,
		"service a runing=true":            `unknown attribute "runing"`,
		`command ["a" code=1`:              "reading the list",
		"package nginx":                    "want package NAME VERSION",
		"file /d/x\n-- fs/d --\ncontent\n": "is a directory",
	} {
		if _, err := hosttest.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want %q", text, err, want)
		}
	}
}

func TestFilesBehaveAsTheContractSays(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m, err := hosttest.Parse([]byte(`
dir /real
link /via -> /real
link /loop -> /loop
file /real/a "1"
link /real/l -> a
fail read /real/secret "permission denied"
file /real/secret "s"
`))
	if err != nil {
		t.Fatal(err)
	}
	fs := m.Host().FS
	if _, err := fs.Stat("/none"); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := fs.Read("/real/secret", 0); err == nil || errors.Is(err, host.ErrNotFound) {
		t.Errorf("unreadable file: %v", err)
	}
	if _, err := fs.Read("/loop", 0); err == nil || errors.Is(err, host.ErrNotFound) {
		t.Errorf("loop: %v", err)
	}
	if _, err := fs.Read("/real/a", 0); err != nil {
		t.Error(err)
	}
	if i, err := fs.Stat("/via/l"); err != nil || i.Kind != host.Symlink || i.Target != "a" {
		t.Errorf("final link: %+v, %v", i, err)
	}
	if body, err := fs.Read("/via/l", 0); err != nil || string(body) != "1" {
		t.Errorf("through links: %q, %v", body, err)
	}
	if got := m.Writes(); got != 0 {
		t.Errorf("looking wrote %d times: %v", got, m.Log())
	}
	refuse := func(_ context.Context, candidate string) error {
		if _, err := fs.Read(candidate, 0); err != nil {
			t.Errorf("candidate: %v", err)
		}
		return os.ErrInvalid
	}
	before := m.String()
	if err := fs.Write(ctx, "/real/a", strings.NewReader("2"), host.WriteOptions{Validate: refuse}); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("refused: %v", err)
	}
	if diff := cmp.Diff(before, m.String()); diff != "" {
		t.Errorf("a refused write changed the machine: %s", diff)
	}
	if err := fs.Write(ctx, "/real/l", strings.NewReader("2"), host.WriteOptions{Backup: "/keep/l"}); err != nil {
		t.Error(err)
	}
	if body, _ := fs.Read("/real/a", 0); string(body) != "1" {
		t.Errorf("a write followed the final link: %q", body)
	}
	if err := fs.Write(ctx, "/none/x", strings.NewReader(""), host.WriteOptions{}); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("write below a missing directory: %v", err)
	}
	if err := fs.Remove(ctx, "/real", false); err == nil {
		t.Error("a full directory was removed")
	}
}

func TestUnscriptedProgramsCannotRun(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m, err := hosttest.Parse([]byte(`
command ["test","-e","/x"] exists=/x
command ["touch","*"] creates=/x
command ["say","..."] stdout="hi" reads
`))
	if err != nil {
		t.Fatal(err)
	}
	run := m.Host().Run
	for _, step := range []struct {
		argv []string
		code int
		err  error
	}{
		{[]string{"test", "-e", "/x"}, 1, nil},
		{[]string{"touch", "/x"}, 0, nil},
		{[]string{"test", "-e", "/x"}, 0, nil},
		{[]string{"say", "a", "b"}, 0, nil},
		{[]string{"rm", "/x"}, 0, hosttest.ErrUnexpected},
	} {
		res, err := run.Run(ctx, host.Command{Argv: step.argv})
		if res.Code != step.code || !errors.Is(err, step.err) {
			t.Errorf("%v: got %d, %v", step.argv, res.Code, err)
		}
	}
	if diff := cmp.Diff([]string{`run ["touch","/x"]`}, m.Log()); diff != "" {
		t.Error(diff)
	}
}

func FuzzPrintParse(f *testing.F) {
	f.Add(canonical)
	f.Add("file /a \"\\x00\"\nlink /b -> \"a b\"\nsysctl a \"b=c\"")
	f.Add("quota /home user\t 1000\nquota /home \"\"\nstale \"a \"\nobject \"\"\ncontainer \"a=b\" state=\"a b\"\nfile /a\nxattr /a \"\" x")
	f.Add("user root uid=5\nfile /a owner=root:root")
	f.Add("table \"\" \"a b\" c")
	f.Add("quota /home user 1 blocks=-1/0")
	f.Add("device /b holds=-5:00")
	f.Add("file /a links=-2")
	f.Add("file /a\n-- fs/../b --\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := hosttest.Parse([]byte(text))
		if err != nil {
			return
		}
		printed := m.String()
		again, err := hosttest.Parse([]byte(printed))
		if err != nil {
			t.Fatalf("%v\nin the print of %q:\n%s", err, text, printed)
		}
		if diff := cmp.Diff(printed, again.String()); diff != "" {
			t.Fatal(diff)
		}
	})
}
