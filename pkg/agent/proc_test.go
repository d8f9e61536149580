package agent

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/machine"
	"vigo.dev/pkg/redact"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resources"
)

// TestNoSecretOnACommandLine refuses to start a program whose arguments hold a secret, in whatever form.
func TestNoSecretOnACommandLine(t *testing.T) {
	t.Parallel()
	r, key := newRig(t), nodeKey(t)
	r.publishSecret(secretPolicy(), r.sealed(key, nil))
	started := &noter{}
	a := r.start(withKey(key), func(c *Config) {
		inner := c.NewHost
		c.NewHost = func() *host.Host { h := inner(); h.Run = started; return h }
	})
	r.once(a)
	h := discreet(a.NewHost(), a.redactor())
	for _, arg := range []string{planted, "--password=" + planted, base64.StdEncoding.EncodeToString([]byte(planted))} {
		if _, err := h.Run.Run(t.Context(), host.Command{Argv: []string{"mysql", arg}}); err == nil || strings.Contains(err.Error(), "S3cret") {
			t.Errorf("%v", err)
		}
	}
	if _, err := h.Run.Run(t.Context(), host.Command{Argv: []string{"true"}, Env: []string{"P=" + planted}}); err != nil {
		t.Error(err)
	}
	if len(started.argv) != 1 {
		t.Errorf("started: %v", started.argv)
	}
}

// TestWhatFailsIsMaskedBeforeItIsCut runs a program that fails and shows a secret of several words just where an error that is
// made of the end of its output begins.
func TestWhatFailsIsMaskedBeforeItIsCut(t *testing.T) {
	t.Parallel()
	const secret = "correct horse battery staple"
	said := []byte(secret + strings.Repeat(" x", 490/2))
	for _, stream := range []host.Result{{Code: 1, Stdout: said}, {Code: 1, Stderr: said}} {
		h := discreet(&host.Host{Run: failing{stream}}, redact.New(secret))
		e := &resources.Exec{Name: "x", Command: []string{"x"}}
		p, err := e.Plan(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Apply(t.Context())
		if err == nil || strings.Contains(err.Error(), "staple") || !strings.Contains(err.Error(), "(masked)") {
			t.Errorf("got %v", err)
		}
	}
}

// failing is a runner whose programs say the same and fail.
type failing struct{ host.Result }

func (f failing) Run(context.Context, host.Command) (host.Result, error) { return f.Result, nil }
func (f failing) Find(name string) (string, error)                       { return name, nil }

// noter notes what is started.
type noter struct{ argv [][]string }

func (n *noter) Run(_ context.Context, c host.Command) (host.Result, error) {
	n.argv = append(n.argv, c.Argv)
	return host.Result{}, nil
}

func (n *noter) Find(name string) (string, error) { return name, nil }

// TestNoSecretInProc gives a program a secret through its environment and samples the command lines of this process and of all
// that it has started, while it runs. Others are no concern of the agent's, and may well be about this test.
func TestNoSecretInProc(t *testing.T) {
	t.Parallel()
	r, key := newRig(t), nodeKey(t)
	r.publishSecret(motdPolicy("hello", map[string]string{
		"secrets/db/password.age": "sealed in git",
		"roles/web.yaml":          "kind: Role\nwhen: role == \"web\"\nmodules: [db]\n",
		"modules/db/module.yaml": `kind: Module
resources:
  - exec: tell
    command: [sh, -c, 'read -r line; test -n "$PASSWORD" && printf %s "$PASSWORD" && exit 3', vigo-proc-test]
    env: {PASSWORD: '{{ secret "db/password" }}'}
    always: true
`}), r.sealed(key, nil))
	live, err := machine.New(machine.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = live.Close() })
	in, out := io.Pipe()
	a := r.start(withKey(key), func(c *Config) {
		inner := c.NewHost
		c.NewHost = func() *host.Host { h := inner(); h.Run = waiting{live.Host().Run, in}; return h }
	})
	done := make(chan report.Run, 1)
	go func() { done <- r.once(a) }()
	seen := false
	for !seen {
		for _, process := range family(t) {
			line, _ := os.ReadFile(filepath.Join(process, "cmdline")) // of a process that may be gone
			leaks(t, process, line)
			seen = seen || bytes.Contains(line, []byte("vigo-proc-test"))
		}
		select {
		case run := <-done:
			t.Fatalf("it was never seen: %+v", run)
		default:
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	run := <-done
	if run.Counts.Failed != 1 || !strings.Contains(run.Results[0].Reason, "(masked)") {
		t.Errorf("what it printed is to be shown masked: %+v", run)
	}
	r.scan(run)
}

// family are the folders in /proc of this process, and of all that descend from it.
func family(t *testing.T) (members []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	parents := map[string]string{}
	for _, process := range all {
		stat, _ := os.ReadFile(filepath.Join(process, "stat")) // of a process that may be gone
		_, after, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
		if fields := strings.Fields(after); len(fields) > 1 {
			parents[process] = "/proc/" + fields[1]
		}
	}
	self := fmt.Sprint("/proc/", os.Getpid())
	for process := range parents {
		for ancestor, more := process, true; more; ancestor, more = parents[ancestor] {
			if ancestor == self {
				members = append(members, process)
				break
			}
		}
	}
	return members
}

// waiting gives programs an input that does not end before the test wants it.
type waiting struct {
	host.Runner
	in io.Reader
}

func (w waiting) Run(ctx context.Context, c host.Command) (host.Result, error) {
	c.Stdin = w.in
	return w.Runner.Run(ctx, c)
}
