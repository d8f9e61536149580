// Command demo shows the whole of Vigo on real input, in one go: it makes a git repository of the example policy, starts
// `vigo up`, enrols three agents that each manage a folder of their own, and then pushes a commit, breaks a file, stops an
// agent and tampers with the registry.
//
// It refuses to touch anything outside a temporary folder and to talk to anything but loopback.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/term"
)

// interval is that of the demo's agents; the example policy itself says 30s.
const interval = 2 * time.Second

type demo struct {
	bin       string
	dir       string
	address   string
	began     time.Time
	processes []*process
	agents    map[string]*process
}

func main() {
	bin := flag.String("bin", "bin", "folder of the built programs")
	keep := flag.Bool("keep", false, "leave everything running at the end, until Ctrl-C")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	err := show(ctx, *bin, *keep)
	switch {
	case ctx.Err() != nil && !*keep:
		fmt.Fprintln(os.Stderr, "\ndemo: interrupted; what it started is stopped, what it made is removed")
		os.Exit(130)
	case err != nil && ctx.Err() == nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// heading is bold on a terminal.
func heading(s string) string {
	if !term.IsTerminal(int(os.Stdout.Fd())) || os.Getenv("NO_COLOR") != "" {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}

func show(ctx context.Context, bin string, keep bool) (err error) {
	bin, err = filepath.Abs(bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "vigo-demo-")
	if err != nil {
		return err
	}
	d := &demo{bin: bin, dir: dir, began: time.Now(), agents: map[string]*process{}}
	defer func() {
		if err != nil && ctx.Err() == nil {
			for _, p := range d.processes {
				p.tail(os.Stderr)
			}
		}
		d.stopAll()
		if removeErr := os.RemoveAll(dir); err == nil {
			err = removeErr
		}
	}()
	steps := []struct {
		title string
		do    func(context.Context) error
	}{
		{"A git repository with the example policy", d.repository},
		{"vigo up: controller, registry, report service and CA in one process", d.up},
		{"Three agents enrol, each with a folder of its own as its file system", d.enrol},
		{"They pull the signed bundle by digest, verify it and converge", d.converged},
		{"git push: a changed line arrives as a new digest", d.push},
		{"Somebody breaks a file by hand: it is repaired", d.breakFile},
		{"A commit with a mistake changes nothing and says where it is", d.mistake},
		{"Somebody tampers with the registry: agents refuse and keep the last good state", d.tamper},
		{"An agent is stopped: known as stale at 3 x its interval", d.silence},
		{"vigo status", d.finish},
	}
	for i, step := range steps {
		fmt.Printf("\n%s\n", heading(fmt.Sprintf("%d. %s", i+1, step.title)))
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("step %d (%s): %w", i+1, step.title, err)
		}
	}
	fmt.Printf("\nAll of this took %s.\n", time.Since(d.began).Round(time.Second))
	if keep {
		d.invite()
		<-ctx.Done()
	}
	return nil
}

func (d *demo) invite() {
	fmt.Printf(`
The demo goes on until Ctrl-C. The service listens on https://%s. In another terminal:

  export VIGO_CONFIG=%s
  %s status
  %s node kiosk-1
  cd %s    # change the policy, git commit, and look again
`, d.address, d.path("data", "operator.json"), d.vigo(), d.vigo(), d.path("policy"))
}

func (d *demo) path(elem ...string) string { return filepath.Join(append([]string{d.dir}, elem...)...) }
func (d *demo) vigo() string               { return filepath.Join(d.bin, "vigo") }
func (d *demo) agent() string              { return filepath.Join(d.bin, "vigo-agent") }
