//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/test/fleet"
)

// interval is that of the policy in testdata.
const interval = 3 * time.Second

// envBin is the folder of the built programs.
const envBin = "VIGO_BIN"

// site is what one `vigo up` needs: a network, a git repository, and the folder of its data. Its programs run in the
// network namespace of the fleet's host.
type site struct {
	net  *fleet.Network
	bin  string
	dir  string
	addr string // of vigo up
}

// newSite makes a network, and a repository of the policy in testdata with an operator's key.
func newSite(t *testing.T) *site {
	t.Helper()
	fleet.Require(t)
	bin := os.Getenv(envBin)
	if bin == "" {
		t.Fatalf("set %s to the folder of the built programs (make build)", envBin)
	}
	s := &site{net: fleet.NewNetwork(t), bin: bin, dir: t.TempDir()}
	s.addr = s.freeAddress(t)
	s.run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.path("operator"))
	if err := os.CopyFS(s.path("policy"), os.DirFS("testdata/policy")); err != nil {
		t.Fatal(err)
	}
	s.run(t, "git", "init", "-q", "-b", "main", s.path("policy"))
	key := strings.Fields(readFile(t, s.path("operator.pub")))[1]
	s.commit(t, "The policy of the test", map[string]string{"data/common.yaml": "people.operator_key: " + key + "\n"})
	return s
}

func (s *site) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// freeAddress finds a port in the namespace of the host, which nobody else uses.
func (s *site) freeAddress(t *testing.T) string {
	t.Helper()
	l, err := s.net.Host().Listen(t.Context(), "tcp", s.net.Host().Addr().String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// commit writes files of the policy and commits them.
func (s *site) commit(t *testing.T, subject string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		writeFile(t, s.path("policy", name), text)
	}
	s.run(t, "git", "-C", s.path("policy"), "add", "-A")
	s.run(t, "git", "-C", s.path("policy"), "commit", "-q", "-m", subject)
}

// edit replaces a text in a file of the policy and commits it.
func (s *site) edit(t *testing.T, name, old, with string) {
	t.Helper()
	text := readFile(t, s.path("policy", name))
	if strings.Count(text, old) != 1 {
		t.Fatalf("%s does not hold %q once", name, old)
	}
	s.commit(t, name+": "+with, map[string]string{name: strings.Replace(text, old, with, 1)})
}

// up starts `vigo up` and waits until it has published a bundle.
func (s *site) up(t *testing.T, more ...string) {
	t.Helper()
	s.start(t, s.vigoBin(), append([]string{"up", "--data", s.path("data"), "--git", s.path("policy"), "--listen", s.addr, "--poll", "500ms"}, more...)...)
	s.await(t, "a published bundle", func(st report.Status) error {
		if len(st.Channels) == 0 || st.Channels[0].Digest == "" {
			return errors.New("nothing is published")
		}
		return nil
	})
}

func (s *site) vigoBin() string { return filepath.Join(s.bin, "vigo") }

// start runs a program on the network until the end of the test; its output is logged if that failed.
func (s *site) start(t *testing.T, name string, args ...string) {
	t.Helper()
	log, err := os.CreateTemp(s.dir, filepath.Base(name)+"-*.log")
	if err != nil {
		t.Fatal(err)
	}
	cmd := s.net.Host().Command(context.Background(), name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	// It ends with this process, however this process ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // the signal at the death of the parent is sent when this thread ends
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // its output says how it ended
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-ended:
		case <-time.After(15 * time.Second):
			t.Errorf("%s does not end when it is told to", filepath.Base(name))
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("%s %s:\n%s", filepath.Base(name), args[0], lastLines(readFile(t, log.Name()), 60))
		}
		log.Close()
	})
}

// run runs a program of this computer that must succeed, on the network, and returns what it prints.
func (s *site) run(t *testing.T, argv ...string) string {
	t.Helper()
	out, errOut, err := s.try(t.Context(), argv...)
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(argv, " "), err, out, errOut)
	}
	return out
}

func (s *site) try(ctx context.Context, argv ...string) (stdout, stderr string, err error) {
	var out, errOut bytes.Buffer
	cmd := s.net.Host().Command(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.Env = append(os.Environ(), "VIGO_CONFIG="+s.path("data", "operator.json"), "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=e2e", "GIT_AUTHOR_EMAIL=e2e@example.com", "GIT_COMMITTER_NAME=e2e", "GIT_COMMITTER_EMAIL=e2e@example.com")
	err = cmd.Run()
	return out.String(), errOut.String(), err
}

// vigo runs a command of an operator and decodes the document it prints. Exit code 1 of `vigo status` is not a failure.
func (s *site) vigo(ctx context.Context, into any, args ...string) error {
	out, errOut, err := s.try(ctx, append(append([]string{s.vigoBin()}, args...), "-o", "json")...)
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1 && out != "") {
		return errors.New(errOut + err.Error())
	}
	return json.Unmarshal([]byte(out), into)
}

// await asks `vigo status` until it is as wanted.
func (s *site) await(t *testing.T, what string, wanted func(report.Status) error) report.Status {
	t.Helper()
	var st report.Status
	eventually(t, what, func(ctx context.Context) error {
		st = report.Status{}
		if err := s.vigo(ctx, &st, "status"); err != nil {
			return err
		}
		return wanted(st)
	})
	return st
}

// eventually tries until it works, for at most two minutes: that is what installing packages takes on a computer with much
// else to do.
func eventually(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := fleet.WaitFor(ctx, 200*time.Millisecond, try); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
