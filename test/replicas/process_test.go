package replicas

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/cli/vigocmd"
)

// programVariable makes this test binary be vigo.
const programVariable = "VIGO_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) == "" {
		os.Exit(m.Run())
	}
	env := cli.System("vigo", "test")
	os.Exit(cli.Main(env, vigocmd.New(env), os.Args[1:]))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func rounds(t *testing.T) int {
	t.Helper()
	n := os.Getenv("VIGO_KILL_ROUNDS")
	if n == "" {
		return 5
	}
	rounds, err := strconv.Atoi(n)
	must(t, err)
	return rounds
}

// chance returns the source of the moments, and logs how to replay them.
func chance(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("VIGO_KILL_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		must(t, err)
	}
	t.Logf("VIGO_KILL_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func program(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), programVariable+"=vigo")
	return cmd
}

// run runs a program to its end, which must be good, and returns what it has written.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args[1:], " "), err, &out, &errs)
	}
	return strings.TrimSpace(out.String())
}

// output is what a process has written so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// A process is a program in the background, which the test ends at the latest.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	out  output
}

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	go func() {
		_ = cmd.Wait() // how it ended is in ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		p.end(syscall.SIGTERM)
		if t.Failed() {
			lines := strings.Split(p.out.String(), "\n")
			t.Logf("%s:\n%s", strings.Join(cmd.Args[1:4], " "), strings.Join(lines[max(0, len(lines)-20):], "\n"))
		}
	})
	return p
}

// end sends a signal and waits until the process has gone.
func (p *process) end(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s) // gone already is as good
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// ended reports whether it has.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// says waits until the process has written a line with a word in it, and returns what follows the word on that line.
func (p *process) says(t *testing.T, word string) string {
	t.Helper()
	var rest string
	await(t, word+" in the output", func() bool {
		_, after, found := strings.Cut(p.out.String(), word)
		line, _, whole := strings.Cut(after, "\n")
		rest = strings.TrimSpace(line)
		if p.ended() {
			t.Fatalf("it has ended:\n%s", p.out.String())
		}
		return found && whole
	})
	return rest
}

// await asks until it is so; processes tell nobody when they have done what the test waits for.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	awaitFor(t, time.Minute, what, so)
}

func awaitFor(t *testing.T, most time.Duration, what string, so func() bool) {
	t.Helper()
	deadline := time.Now().Add(most)
	for !so() {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s: %s", most, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
