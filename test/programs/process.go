package programs

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// tail is how many of its last lines a program shows when the test has failed.
const tail = 30

// Output is what a program has written so far; it may be read while the program writes.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String is all of it.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// A Process is a program in the background. The test ends it at the latest, and shows the last it said when it has failed.
type Process struct {
	Cmd  *exec.Cmd
	Out  Output // standard output and standard error
	Said Output // standard output alone
	done chan struct{}
}

// Start runs a command in the background.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := prepared(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is in ProcessState
		close(p.done)
	}()
	p.cleanUp(t)
	return p
}

// StartIn is Start within what does it, such as in a network namespace. It is done until the program has ended, and must leave the
// thread to others afterwards: a thread that ends takes with it all programs that were ever started from it, whoever did.
func StartIn(t testing.TB, cmd *exec.Cmd, do func(func() error) error) *Process {
	t.Helper()
	p := prepared(cmd)
	started := make(chan error, 1)
	go func() {
		defer close(p.done)
		err := do(func() error {
			err := cmd.Start()
			started <- err
			if err == nil {
				_ = cmd.Wait()
			}
			return err
		})
		select {
		case started <- err: // it was not even tried
		default:
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	p.cleanUp(t)
	return p
}

func prepared(cmd *exec.Cmd) *Process {
	p := &Process{Cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &tee{&p.Out, &p.Said}, &p.Out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return p
}

func (p *Process) cleanUp(t testing.TB) {
	t.Cleanup(func() {
		if !p.End(syscall.SIGTERM) {
			t.Errorf("%s does not end when it is told to", p)
		}
		if t.Failed() {
			lines := strings.Split(p.Out.String(), "\n")
			t.Logf("%s:\n%s", p, strings.Join(lines[max(0, len(lines)-tail):], "\n"))
		}
	})
}

// tee writes to both.
type tee struct{ a, b *Output }

// Write implements io.Writer. An Output takes everything.
func (w *tee) Write(p []byte) (int, error) {
	_, _ = w.a.Write(p)
	return w.b.Write(p)
}

// String names the program by its first arguments; not those of one that only enters a namespace for it.
func (p *Process) String() string {
	args := p.Cmd.Args
	if i := slices.Index(args, "--"); i >= 0 && i+1 < len(args) {
		args = args[i+1:]
	}
	return strings.Join(args[1:min(4, len(args))], " ")
}

// End sends a signal and waits until the process has gone; it may have gone already. One that does not go is killed, and the
// answer is false.
func (p *Process) End(s syscall.Signal) bool {
	_ = p.Cmd.Process.Signal(s)
	select {
	case <-p.done:
		return true
	case <-time.After(Patience):
		_ = p.Cmd.Process.Kill()
		<-p.done
		return false
	}
}

// Ended says whether it has gone.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Says waits until the process has written a line with a word in it, and returns what follows the word on that line.
func (p *Process) Says(t testing.TB, word string, patience time.Duration) string {
	t.Helper()
	var rest string
	Await(t, fmt.Sprintf("%q in the output of %s", word, p), patience, func() bool {
		ended := p.Ended() // asked first: what it wrote before its end counts
		_, after, found := strings.Cut(p.Out.String(), word)
		line, _, whole := strings.Cut(after, "\n")
		rest = strings.TrimSpace(line)
		if ended && !(found && whole) {
			t.Fatalf("%s has ended:\n%s", p, p.Out.String())
		}
		return found && whole
	})
	return rest
}

// Await asks until it is so: processes tell nobody when they have done what a test waits for.
func Await(t testing.TB, what string, patience time.Duration, so func() bool) {
	t.Helper()
	AwaitNil(t, what, patience, func() error {
		if !so() {
			return errors.New("not yet")
		}
		return nil
	})
}

// AwaitNil is Await for a question that says what is missing.
func AwaitNil(t testing.TB, what string, patience time.Duration, missing func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := missing()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s: %v", patience, what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Wait waits until the process has gone by itself.
func (p *Process) Wait() { <-p.done }
