// Command bench measures Vigo beside physical limits and beside the tools people know, on this machine, in one run: runs
// with nothing to do, check-ins at the report service, and the way from a commit to a published pointer.
//
// Each figure is printed with what it is compared to, their ratio, and the goal. It refuses to change the machine: every
// tool is given a policy the machine is in line with already, which is checked by a dry run first, and works in a
// temporary folder otherwise. It talks to loopback only. A missed goal is said, and is no failure; what could not be
// measured is one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A bench is one run of this program.
type bench struct {
	bin   string // folder of the built programs
	dir   string // temporary
	runs  int    // of each measured command; slow peers have fewer
	peers bool
	found figures
}

// A section measures one thing and adds its figures.
type section struct {
	name    string
	measure func(*bench, context.Context) error
}

func sections() []section {
	return []section{
		{"mixed", (*bench).mixed}, {"files", (*bench).manyFiles}, {"quiet", (*bench).quiet}, {"daemon", (*bench).daemon},
		{"checkin", (*bench).checkIns}, {"publish", (*bench).publish},
	}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == loadCommand { // the load generator is a process of its own
		if err := generateLoad(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench: generating load:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 1 && os.Args[1] == launchCommand {
		os.Exit(launch(os.Args[2:]))
	}
	if len(os.Args) == 3 && os.Args[1] == bareCommand {
		if err := bare(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	b := &bench{found: newFigures()}
	bin := flag.String("bin", "bin", "folder of the built programs")
	only := flag.String("only", "", "sections to run, separated by commas: mixed, files, quiet, daemon, checkin, publish (default: all)")
	output := flag.String("o", "table", "table or json")
	flag.IntVar(&b.runs, "runs", 7, "how often each command is measured; the median counts")
	flag.BoolVar(&b.peers, "peers", true, "measure other tools too, where they are installed")
	flag.Parse()
	if *output != "table" && *output != "json" || b.runs < 1 {
		return errors.New("-o is table or json, -runs at least 1")
	}
	if b.bin, err = filepath.Abs(*bin); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "vigo-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return err
	}
	var failed []error
	for _, s := range sections() {
		if *only != "" && !contains(*only, s.name) {
			continue
		}
		began := time.Now()
		if err := s.measure(b, ctx); err != nil {
			failed = append(failed, fmt.Errorf("%s could not be measured: %w", s.name, err))
		}
		fmt.Fprintf(os.Stderr, "bench: %s took %s\n", s.name, time.Since(began).Round(100*time.Millisecond))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if b.found.Load, err = loadAverages(); err != nil {
		return err
	}
	b.found.Failed = texts(failed)
	return errors.Join(b.found.print(os.Stdout, *output), errors.Join(failed...))
}

func contains(list, name string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if item == name {
			return true
		}
	}
	return false
}

func texts(errs []error) []string {
	var all []string
	for _, err := range errs {
		all = append(all, err.Error())
	}
	return all
}

func (b *bench) path(elem ...string) string {
	return filepath.Join(append([]string{b.dir}, elem...)...)
}
func (b *bench) vigo() string  { return filepath.Join(b.bin, "vigo") }
func (b *bench) agent() string { return filepath.Join(b.bin, "vigo-agent") }
