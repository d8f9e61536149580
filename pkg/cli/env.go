// Package cli is what the command lines of both binaries share: where output goes, in which format, how an error and
// its hints are shown, and with which status a program ends.
//
// It refuses to contain any command: packages vigocmd and agentcmd do. Results go to standard output, everything else
// to standard error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/machine"
)

// An Env is what a program is given by the one who starts it.
type Env struct {
	Name    string // of the program, as error messages begin
	Version string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Now     func() time.Time
	Getenv  func(string) string
	Colour  bool // standard output is a terminal that shows colours
	Live    bool // standard error is a terminal, where a line can be taken back

	access access
}

// System returns the Env of this process.
func System(name, version string) *Env {
	colour := term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return &Env{Name: name, Version: version, Stdin: os.Stdin, Stdout: guarded(os.Stdout), Stderr: guarded(os.Stderr), Now: time.Now,
		Getenv: os.Getenv, Colour: colour, Live: term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("TERM") != "dumb"}
}

// Reload is told of each SIGHUP, by which people ask a service to read its files again.
func (*Env) Reload() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c
}

// guarded is a file, which shows no control characters if it is a terminal.
func guarded(f *os.File) io.Writer {
	if term.IsTerminal(int(f.Fd())) {
		return terminal{f}
	}
	return f
}

// Main runs a root command with the arguments of this process and returns the exit status. SIGINT and SIGTERM end the
// context of the command; a second one ends the process.
func Main(env *Env, root *cobra.Command, args []string) int {
	if err := machine.KeepOutOfDumps(); err != nil {
		env.PrintError(err) // a reason to know of, not to do nothing
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	go func() {
		<-ctx.Done()
		cancel() // from here on a signal has its default effect
	}()
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	Prepare(env, root)
	err := root.ExecuteContext(ctx)
	if err != nil {
		env.PrintError(err)
	}
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return int(fault.Interrupted)
	}
	return int(fault.CodeOf(err))
}

// UsageError marks an error of the command line itself.
func UsageError(err error) error { return fault.WithCode(err, fault.Usage) }

// ErrQuiet ends a program with a code and says nothing: the output has said it all.
type ErrQuiet struct{}

func (ErrQuiet) Error() string { return "" }

// Quiet returns an error that only carries an exit code; nil for [fault.OK].
func Quiet(code fault.Code) error {
	if code == fault.OK {
		return nil
	}
	return fault.WithCode(ErrQuiet{}, code)
}

// PrintError shows an error and its hints on standard error. Problems of a policy are shown one a line.
func (e *Env) PrintError(err error) {
	if errors.As(err, &ErrQuiet{}) {
		return
	}
	var problems fault.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			fmt.Fprintln(e.Stderr, p.Error())
		}
		noun := "mistakes"
		if len(problems) == 1 {
			noun = "mistake"
		}
		fmt.Fprintf(e.Stderr, "%s: error: %d %s\n", e.Name, len(problems), noun)
		return
	}
	fmt.Fprintf(e.Stderr, "%s: error: %s\n", e.Name, strings.ReplaceAll(err.Error(), "\n", "\n  "))
	for _, hint := range fault.Hints(err) {
		fmt.Fprintf(e.Stderr, "%s: hint: %s\n", e.Name, hint)
	}
}
