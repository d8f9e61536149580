package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// A sample is what one run of a command took, with all processes it waited for.
type sample struct {
	wall, cpu time.Duration
	rss       int64 // bytes, of the largest process
}

// A command is what is run and measured.
type command struct {
	argv []string
	dir  string
	env  []string // beside that of this program
	// check looks at the output (standard output, then standard error) and the exit code of every run; nil: the code must
	// be 0.
	check func(output string, code int) error
}

// once runs a command and measures it.
func (c command) once(ctx context.Context) (sample, string, error) {
	self, err := os.Executable()
	if err != nil {
		return sample{}, "", err
	}
	in, out, err := os.Pipe()
	if err != nil {
		return sample{}, "", err
	}
	defer in.Close()
	cmd := exec.CommandContext(ctx, self, append([]string{launchCommand}, c.argv...)...)
	cmd.Dir, cmd.Env, cmd.ExtraFiles = c.dir, append(os.Environ(), c.env...), []*os.File{out}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = errors.Join(cmd.Run(), out.Close())
	output := stdout.String() + stderr.String()
	var took launched
	if err == nil {
		err = json.NewDecoder(in).Decode(&took)
	}
	switch {
	case err != nil || ctx.Err() != nil:
		return sample{}, "", fmt.Errorf("running %s: %w\n%s", c.argv[0], errors.Join(err, ctx.Err()), lastLines(output, 15))
	case c.check != nil:
		err = c.check(output, took.Code)
	case took.Code != 0:
		err = fmt.Errorf("it ended with %d", took.Code)
	}
	if err != nil {
		return sample{}, "", fmt.Errorf("running %s: %w\n%s", strings.Join(c.argv, " "), err, lastLines(output, 15))
	}
	return sample{wall: took.Wall, cpu: took.CPU, rss: took.RSS}, output, nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// A series is several runs of one command.
type series []sample

// measure runs commands n times each, in turns, so that a busy moment of the machine meets all of them; each is run once
// before, so that files are in the page cache.
func measure(ctx context.Context, n int, commands ...command) ([]series, error) {
	all := make([]series, len(commands))
	for round := range n + 1 {
		for i, c := range commands {
			s, _, err := c.once(ctx)
			if err != nil {
				return nil, err
			}
			if round > 0 {
				all[i] = append(all[i], s)
			}
		}
	}
	return all, nil
}

func (s series) wall() (least, median time.Duration) {
	return spread(s, func(x sample) time.Duration { return x.wall })
}

func (s series) cpu() (least, median time.Duration) {
	return spread(s, func(x sample) time.Duration { return x.cpu })
}

// rss is the largest of all runs.
func (s series) rss() int64 {
	var most int64
	for _, x := range s {
		most = max(most, x.rss)
	}
	return most
}

func spread(s series, of func(sample) time.Duration) (least, median time.Duration) {
	times := make([]time.Duration, len(s))
	for i, x := range s {
		times[i] = of(x)
	}
	slices.Sort(times)
	return times[0], times[len(times)/2]
}
