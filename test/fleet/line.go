//go:build linux

package fleet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// line is one of the serial lines by which commands reach a virtual machine, one after the other. At its other end is
// guest/console.sh. A command is a directory both see, with the files words and in; its name is sent, and comes back when
// code, out and err are there too.
type line struct {
	name  string // of the device in the machine
	share string // the directory both see
	conn  io.ReadWriteCloser

	mu      sync.Mutex
	next    int
	waiting string // the id of the request that has no answer yet
	answer  chan error
}

// listen takes what comes in until the machine is gone. A hello says that the machine has been booted: what was asked
// before is lost.
func (l *line) listen() {
	in := bufio.NewScanner(l.conn)
	for in.Scan() {
		id, done := strings.CutPrefix(in.Text(), "done ")
		switch {
		case in.Text() == "hello":
			l.end("", errDown)
		case done:
			l.end(id, nil)
		}
	}
	l.end("", errDown)
}

// end ends the wait for a request; no id stands for any.
func (l *line) end(id string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting != "" && (id == l.waiting || id == "") {
		l.waiting = ""
		l.answer <- err
	}
}

// ask announces a command and returns the directory that has its outcome once an answer comes.
func (l *line) ask(argv []string, input io.Reader) (dir string, answer <-chan error, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	id := l.name + "." + strconv.Itoa(l.next)
	dir = filepath.Join(l.share, id)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", nil, err
	}
	if err := fillRequest(dir, argv, input); err != nil {
		return dir, nil, err
	}
	done := make(chan error, 1)
	l.waiting, l.answer = id, done
	if _, err := fmt.Fprintln(l.conn, id); err != nil {
		l.waiting = ""
		return dir, nil, errors.Join(errDown, err)
	}
	return dir, done, nil
}

func fillRequest(dir string, argv []string, input io.Reader) error {
	if input == nil {
		input = strings.NewReader("")
	}
	f, err := os.Create(filepath.Join(dir, "in"))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, input)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "words"), []byte(strings.Join(argv, "\x00")+"\x00"), 0o644)
}

// outcome reads what became of a command.
func outcome(dir string) (stdout, stderr string, code int, err error) {
	var texts [3]string
	for i, name := range []string{"out", "err", "code"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", "", -1, err
		}
		texts[i] = string(text)
	}
	code, err = strconv.Atoi(strings.TrimSpace(texts[2]))
	return texts[0], texts[1], code, err
}

// killGrace is how long a killed command may take to end.
const killGrace = 20 * time.Second

// killScript kills what runs for another line. The request may have been sent before that has begun.
const killScript = `until [ ! -e "$2" ] || { read -r pid <"/run/fleet/$1/pid" && kill -KILL "-$pid"; } 2>/dev/null; do
    sleep 0.1
done`

// run is how [Console.ExecInput] reaches the machine.
func (v *VM) run(ctx context.Context, stdin io.Reader, argv []string) (stdout, stderr string, code int, err error) {
	var l *line
	select {
	case l = <-v.free:
	case <-ctx.Done():
		return "", "", -1, context.Cause(ctx)
	}
	env := append([]string{"env", "--ignore-environment"}, machineEnv...)
	dir, answer, err := l.ask(append(env, argv...), stdin)
	defer os.RemoveAll(dir)
	if err == nil {
		select {
		case err = <-answer:
		case <-ctx.Done():
			// A line on which something still runs is not used again.
			if err := v.kill(l, answer); err != nil {
				return "", "", -1, errors.Join(context.Cause(ctx), err)
			}
			err = context.Cause(ctx)
		}
	}
	v.free <- l
	if err != nil {
		return "", "", -1, err
	}
	return outcome(dir)
}

// kill ends what runs on a line.
func (v *VM) kill(l *line, answer <-chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), killGrace)
	defer cancel()
	select {
	case killer := <-v.free:
		words := filepath.Join("/run/fleet/share", l.current(), "words")
		dir, _, err := killer.ask([]string{"/bin/sh", "-c", killScript, "sh", l.name, words}, nil)
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		defer func() { v.free <- killer }()
	case <-answer:
		return nil
	case <-ctx.Done():
		return errors.New("no line is free to kill it by")
	}
	select {
	case <-answer:
		return nil
	case <-ctx.Done():
		return errors.New("it could not be killed")
	}
}

// current returns the id of the request that has no answer yet.
func (l *line) current() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting
}
