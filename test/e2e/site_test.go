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
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/test/fleet"
	"vigo.dev/test/programs"
)

// interval is that of the policy in testdata.
const interval = 3 * time.Second

// envBin is the folder of the built programs.
const envBin = "VIGO_BIN"

// site is what one `vigo up` needs: a network, a git repository, and the folder of its data.
type site struct {
	net  *fleet.Network
	host *fleet.Host // where its programs run
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
	s.host = s.net.Host()
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

// freeAddress finds a port that nobody else uses where the programs run.
func (s *site) freeAddress(t *testing.T) string {
	t.Helper()
	return freeAddress(t, s.host)
}

func freeAddress(t *testing.T, at *fleet.Host) string {
	t.Helper()
	l, err := at.Listen(t.Context(), "tcp", at.Addr().String()+":0")
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
	s.publishes(t)
}

// publishes waits for the first bundle.
func (s *site) publishes(t *testing.T) {
	t.Helper()
	s.await(t, "a published bundle", func(st report.Status) error {
		if len(st.Channels) == 0 || st.Channels[0].Digest == "" {
			return errors.New("nothing is published")
		}
		return nil
	})
}

func (s *site) vigoBin() string { return filepath.Join(s.bin, "vigo") }

// start runs a program on the network until the end of the test; the last of its output is logged if that failed.
func (s *site) start(t *testing.T, name string, args ...string) *programs.Process {
	t.Helper()
	return programs.Start(t, s.host.Command(context.Background(), name, args...))
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
	cmd := s.command(ctx, argv...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	return out.String(), errOut.String(), err
}

// command is a program of this computer, on the network, run by the operator.
func (s *site) command(ctx context.Context, argv ...string) *exec.Cmd {
	cmd := s.host.Command(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "VIGO_CONFIG="+s.path("data", "operator.json"), "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=e2e", "GIT_AUTHOR_EMAIL=e2e@example.com", "GIT_COMMITTER_NAME=e2e", "GIT_COMMITTER_EMAIL=e2e@example.com")
	return cmd
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
