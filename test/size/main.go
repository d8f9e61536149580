// Command size builds both programs for the platforms they are shipped for, with the flags of the Makefile, and prints
// how large they are, plain and compressed, and how much memory an idle agent holds.
//
// It refuses to touch anything but a temporary folder. A missed goal is said, and is no failure; what could not be
// measured is one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

// Goals for the agent, in MB.
const (
	goalPlain  = 25
	goalPacked = 6
	goalIdle   = 20
)

// platforms are those that releases are made for; the last word is GOARM.
var platforms = []struct{ name, arch, arm string }{{"linux/amd64", "amd64", ""}, {"linux/arm64", "arm64", ""}, {"linux/armv7", "arm", "7"}}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "size:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	ldflags := flag.String("ldflags", "-s -w -X main.version=0.1.0-dev", "flags for the linker, as in the Makefile")
	only := flag.String("platform", "", "measure this platform alone, such as linux/arm64")
	idle := flag.Bool("idle", true, "measure the memory of an idle agent too")
	flag.Parse()
	dir, err := os.MkdirTemp("", "vigo-size-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Printf("%-11s  %-12s %10s %10s\n", "PLATFORM", "PROGRAM", "PLAIN", "XZ")
	missed := 0
	for _, p := range platforms {
		if *only != "" && *only != p.name {
			continue
		}
		for _, program := range []string{"vigo", "vigo-agent"} {
			path := filepath.Join(dir, p.arch, program)
			if err := build(ctx, program, path, p.arch, p.arm, *ldflags); err != nil {
				return err
			}
			plain, packed, err := sizes(ctx, path)
			if err != nil {
				return err
			}
			fmt.Printf("%-11s  %-12s %7.1f MB %7.1f MB", p.name, program, plain, packed)
			if program == "vigo-agent" {
				missed += judge(fmt.Sprintf("goal ≤ %d and ≤ %d MB", goalPlain, goalPacked), plain <= goalPlain && packed <= goalPacked)
			} else {
				fmt.Println()
			}
		}
	}
	if *idle {
		n, err := showIdle(ctx, dir, *ldflags)
		if err != nil {
			return fmt.Errorf("measuring an idle agent: %w", err)
		}
		missed += n
	}
	if missed > 0 {
		fmt.Printf("\n%d goals are MISSED.\n", missed)
	} else {
		fmt.Println("\nNo goal is missed.")
	}
	return nil
}

// judge prints whether a goal is met, and returns 1 if not.
func judge(goal string, met bool) int {
	if met {
		fmt.Printf("   %s: ok\n", goal)
		return 0
	}
	fmt.Printf("   %s: MISSED\n", goal)
	return 1
}

func build(ctx context.Context, program, path, arch, arm, ldflags string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", ldflags, "-o", path, "./cmd/"+program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOARM="+arm)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building %s for %s: %w", program, arch, err)
	}
	return nil
}
