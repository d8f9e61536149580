package script

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long to wait for what a program is to show.
const patience = 3 * time.Minute

// A process is a program that goes on while the script does.
type process struct {
	cmd    *exec.Cmd
	errors *os.File
	ended  chan struct{}
}

// command is a program of the script's PATH, as it would run in its folder.
func command(ts *testscript.TestScript, name string, args []string) *exec.Cmd {
	path := name
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && !info.IsDir() {
			path = filepath.Join(dir, name)
			break
		}
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = ts.MkAbs(".")
	for _, v := range []string{"HOME", "PATH", "TZ", "TMPDIR", "VIGO_CONFIG", "VIGO_TOKEN", "VIGO_REGISTRY_USER", "VIGO_REGISTRY_PASSWORD"} {
		cmd.Env = append(cmd.Env, v+"="+ts.Getenv(v))
	}
	return cmd
}

// start starts a program of the script's PATH. Its standard error goes to a file of the script's folder.
func start(ts *testscript.TestScript, name string, args []string) (*process, io.Reader) {
	log, err := os.CreateTemp(ts.MkAbs("."), name+"-*.log")
	ts.Check(err)
	p := &process{cmd: command(ts, name, args), errors: log, ended: make(chan struct{})}
	p.cmd.Stderr = log
	out, in := io.Pipe()
	p.cmd.Stdout = in
	ts.Check(p.cmd.Start())
	go func() {
		defer close(p.ended)
		in.CloseWithError(p.cmd.Wait()) // the status of a program that is stopped says nothing
	}()
	ts.Defer(func() { p.stop(ts) })
	return p, out
}

// await reads the output of a program until it matches, and says whether it did.
func (p *process) await(ts *testscript.TestScript, out io.Reader, want *regexp.Regexp) (text string, ok bool) {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	timeout := time.After(patience)
	var seen strings.Builder
	for {
		select {
		case line, more := <-lines:
			if !more {
				return seen.String(), false
			}
			seen.WriteString(line + "\n")
			if want.MatchString(seen.String()) {
				go func() { // so that the program is not held up by its output
					for range lines {
						continue
					}
				}()
				return seen.String(), true
			}
		case <-timeout:
			return seen.String(), false
		}
	}
}

// stop asks a program to end and waits until it has. It may be called more than once.
func (p *process) stop(ts *testscript.TestScript) {
	select {
	case <-p.ended:
		return
	default:
	}
	ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		ts.Fatalf("%s did not end when it was asked to", p.cmd.Path)
	}
	_ = p.errors.Close()
}

// said is what the program wrote to standard error.
func (p *process) said() string {
	data, _ := os.ReadFile(p.errors.Name()) // only for a message
	return string(data)
}

// up starts `vigo up` and waits until it listens.
func up(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: up DATA REPOSITORY ARG...")
	}
	p, out := start(ts, "vigo", append([]string{"up", "--data", args[0], "--git", args[1], "--listen", "127.0.0.1:0"}, args[2:]...))
	text, ok := p.await(ts, out, regexp.MustCompile(`(?m)^  vigo-agent enroll --server (\S+) --token TOKEN$`))
	if !ok {
		ts.Fatalf("vigo up did not come up:\n%s%s", text, p.said())
	}
	server := regexp.MustCompile(`--server (\S+)`).FindStringSubmatch(text)[1]
	ts.Logf("%s", text)
	ts.Setenv("SERVER", server)
	ts.Setenv("ADDRESS", strings.TrimPrefix(server, "https://"))
	ts.Setenv("VIGO_CONFIG", ts.MkAbs(filepath.Join(args[0], "operator.json")))
	running(ts)[args[0]] = p
}

// hub starts `vigo hub` and waits until it listens.
func hub(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: hub DATA ARG...")
	}
	p, out := start(ts, "vigo", append([]string{"hub", "--data", args[0], "--listen", "127.0.0.1:0"}, args[1:]...))
	text, ok := p.await(ts, out, regexp.MustCompile(`(?m)^  vigo-agent enroll --server (\S+) --token TOKEN$`))
	if !ok {
		ts.Fatalf("vigo hub did not come up:\n%s%s", text, p.said())
	}
	ts.Logf("%s", text)
	server := regexp.MustCompile(`--server (\S+)`).FindStringSubmatch(text)[1]
	ts.Setenv("HUB", server)
	ts.Setenv("HUB_ADDRESS", strings.TrimPrefix(server, "https://"))
	running(ts)[args[0]] = p
}

// down stops what up or hub started.
func down(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || running(ts)[args[0]] == nil {
		ts.Fatalf("usage: down DATA")
	}
	running(ts)[args[0]].stop(ts)
}

// shows starts a program that does not end by itself and waits for its output.
func shows(ts *testscript.TestScript, neg bool, args []string) {
	at := slices.Index(args, "--")
	if neg || at < 1 || at != len(args)-2 {
		ts.Fatalf("usage: shows PROGRAM ARG... -- REGEXP")
	}
	p, out := start(ts, args[0], args[1:at])
	text, ok := p.await(ts, out, regexp.MustCompile("(?s)"+args[at+1]))
	p.stop(ts)
	if !ok {
		ts.Fatalf("%s did not show %q:\n%s%s", strings.Join(args[:at], " "), args[at+1], text, p.said())
	}
}
