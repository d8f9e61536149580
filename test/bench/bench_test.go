package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/agent"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/traits"
)

func TestTraceTellsThreadsFromProcessesAndLocksFromWrites(t *testing.T) {
	t.Parallel()
	d := parseTrace(`100 execve("/bin/vigo-agent", ["vigo-agent", "apply"], 0x7ffd /* 20 vars */) = 0
100 clone(child_stack=0xc000, flags=CLONE_VM|CLONE_FS|CLONE_THREAD <unfinished ...>
101 openat(AT_FDCWD, "/state/lock", O_RDWR|O_CREAT|O_CLOEXEC, 0600 <unfinished ...>
100 <... clone resumed>, tls=0xc000) = 102
101 <... openat resumed>) = 7
101 mkdirat(AT_FDCWD, "/state", 0700) = -1 EEXIST (File exists)
101 write(1, "247 resources", 13) = 13
101 openat(AT_FDCWD, "/state/journal", O_WRONLY|O_CREAT, 0600) = 8
101 write(8, "{}", 2) = 2
101 close(8) = 0
101 write(8, "\1\0\0\0\0\0\0\0", 8) = 8
101 renameat(AT_FDCWD, "/state/a", AT_FDCWD, "/state/b") = 0
101 --- SIGURG {si_signo=SIGURG} ---
101 clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD}, 88) = 103
103 execve("/usr/bin/dpkg-query", ["dpkg-query"], 0x7ffd /* 20 vars */) = 0
103 openat(AT_FDCWD, "/tmp/x", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 9
103 +++ exited with 0 +++
`)
	want := []string{
		`write to AT_FDCWD, "/state/journal", O_WRONLY|O_CREAT, 0600`,
		`renameat(AT_FDCWD, "/state/a", AT_FDCWD, "/state/b") = 0`,
		`openat(AT_FDCWD, "/tmp/x", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 9`,
	}
	if diff := cmp.Diff(want, d.writes); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	if len(d.processes) != 2 || !strings.HasPrefix(d.processes[0], "clone3") || !strings.HasPrefix(d.processes[1], "execve") {
		t.Errorf("processes: %q", d.processes)
	}
}

func TestStatIsReadWhateverTheNameOfTheProgram(t *testing.T) {
	t.Parallel()
	got, err := parseStat([]byte("42 (a ) b) S 1 42 42 0 -1 4194560 1308 0 0 0 150 27 9 9 20 0 8 0 100 1 1"))
	if err != nil || got != 1770*time.Millisecond {
		t.Errorf("150 + 27 ticks are %s, %v", got, err)
	}
	if _, err := parseStat([]byte("42 (sh) S 1")); err == nil {
		t.Error("a stat that is cut off is accepted")
	}
	if own, err := cpuOf(os.Getpid()); err != nil || own < 0 {
		t.Errorf("this process: %s, %v", own, err)
	}
}

// small is a workload of one of each.
func small(t *testing.T) workload {
	t.Helper()
	dir := t.TempDir()
	w, err := newWorkload("small", filepath.Join(dir, "root"), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	w.packages = []string{"base-files"}
	w.users = []account{{"daemon", "1", "/usr/sbin", "/usr/sbin/nologin"}}
	return w
}

func TestOurPolicyCompilesToTheWorkload(t *testing.T) {
	t.Parallel()
	w := small(t)
	fsys := fstest.MapFS{}
	for name, text := range vigoPolicy(w) {
		fsys[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	schema := expr.NewSchema()
	traits.Schema(schema)
	l := catalog.Language{Kinds: resources.Registry(), Schema: schema}
	p, content, _, err := agent.Folder(fsys)(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	cat, err := l.Build(p, content, catalog.Input{Node: "n"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, it := range cat.Items {
		got = append(got, it.ID.String())
		if f, ok := it.Resource.(*resources.File); ok {
			if text, _ := f.Text(); text != w.files[0].content {
				t.Errorf("the file is to hold %q, want %q", text, w.files[0].content)
			}
		}
	}
	if diff := cmp.Diff([]string{"directory:" + w.dirs[0], "package:base-files", "user:daemon", "file:" + w.files[0].path}, got); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
}

func TestPeersAreAskedForTheSame(t *testing.T) {
	t.Parallel()
	w := small(t)
	playbook, err := ansiblePlaybook(w)
	if err != nil {
		t.Fatal(err)
	}
	var plays []struct{ Tasks []map[string]any }
	if err := json.Unmarshal([]byte(playbook), &plays); err != nil || len(plays) != 1 || len(plays[0].Tasks) != 4 {
		t.Errorf("the playbook has not one task for each kind: %v\n%s", err, playbook)
	}
	quoted, _ := json.Marshal(w.files[0].content) // a string always encodes
	for name, has := range map[string][2]string{
		"puppet":   {puppetManifest(w), w.files[0].content},
		"cfengine": {cfenginePolicy(w), w.files[0].content},
		"ansible":  {playbook, string(quoted)},
	} {
		for _, want := range []string{w.dirs[0], w.files[0].path, has[1], w.packages[0], w.users[0].name, w.users[0].shell} {
			if !strings.Contains(has[0], want) {
				t.Errorf("the policy for %s does not hold %q:\n%s", name, want, has[0])
			}
		}
	}
}

func TestFiguresSayWhetherTheGoalIsMet(t *testing.T) {
	t.Parallel()
	f := newFigures()
	f.add(atMost(figure{Section: "s", What: "wall time", Who: "vigo", Value: 0.2, Unit: "s"}, 0.1),
		ratioAtMost(figure{Section: "s", What: "wall time", Who: "vigo", Value: 3, Unit: "s"}, 2, 2))
	f.Failed = []string{"x could not be measured"}
	var table strings.Builder
	if err := f.print(&table, "table"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"goal ≤ 0.100 s: missed", "1.50x", "goal ≤ 2x: ok", "NOT MEASURED: x could", "1 goals are MISSED"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, table.String())
		}
	}
}
