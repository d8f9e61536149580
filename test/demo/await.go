package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

func say(format string, args ...any) { fmt.Printf("   "+format+"\n", args...) }

func short(digest string) string {
	digest = strings.TrimPrefix(digest, "sha256:")
	return digest[:min(12, len(digest))]
}

func replace(path, old, with string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !strings.Contains(string(data), old) {
		return fmt.Errorf("%s does not hold %q", path, old)
	}
	return os.WriteFile(path, []byte(strings.Replace(string(data), old, with, 1)), 0o644)
}

// await asks for the status until it is as wanted. It gives up when the time is over, or when the process that should
// bring it about has ended.
func await(ctx context.Context, d *demo, what string, limit time.Duration, by *process, wanted func(status) bool) (status, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var ended chan struct{}
	if by != nil {
		ended = by.done
	}
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	var last status
	var lastErr error
	for {
		if last, lastErr = d.status(ctx); lastErr == nil && wanted(last) {
			return last, nil
		}
		select {
		case <-ctx.Done():
			doc, _ := json.MarshalIndent(last, "", " ")
			return last, fmt.Errorf("waiting for %s: %w (%v); the status is %s", what, ctx.Err(), lastErr, doc)
		case <-ended:
			return last, fmt.Errorf("waiting for %s: %s has ended", what, by.name)
		case <-tick.C:
		}
	}
}

// showChange waits for a run of a node that changed a resource, and prints what it changed.
func (d *demo) showChange(ctx context.Context, node, id, outcome string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		out, err := d.run(ctx, d.vigo(), "node", node, "-o", "json")
		if err != nil {
			return err
		}
		var detail struct {
			Runs []struct {
				Results []struct {
					ID, Outcome string
					Changes     []struct{ Field, From, To, Diff string }
				}
			}
		}
		if err := json.Unmarshal([]byte(out), &detail); err != nil {
			return err
		}
		for _, run := range detail.Runs {
			for _, r := range run.Results {
				if r.ID != id || r.Outcome != outcome {
					continue
				}
				say("%s %s", r.Outcome, r.ID)
				for _, c := range r.Changes {
					if c.Diff != "" {
						say("    %s", strings.ReplaceAll(strings.TrimRight(c.Diff, "\n"), "\n", "\n       "))
						continue
					}
					say("    %s: %s -> %s", c.Field, c.From, c.To)
				}
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to be %s on %s: %w", id, outcome, node, ctx.Err())
		case <-time.After(250 * time.Millisecond):
		}
	}
}
