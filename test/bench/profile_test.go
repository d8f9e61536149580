package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vigo.dev/pkg/agent"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/machine"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/traits"
)

// BenchmarkNoOp is for profiles of what a run does inside: go test -bench NoOp -cpuprofile cpu.out ./test/bench
func BenchmarkNoOp(b *testing.B) {
	for _, size := range []struct {
		name  string
		files int
	}{{"200", 200}, {"10000", 10_000}} {
		b.Run(size.name, func(b *testing.B) {
			dir := b.TempDir()
			w, err := newWorkload(size.name, filepath.Join(dir, "root"), 17, size.files)
			if err != nil {
				b.Fatal(err)
			}
			policy := filepath.Join(dir, "policy")
			if err := writeAll(policy, vigoPolicy(w)); err != nil {
				b.Fatal(err)
			}
			if err := w.write(); err != nil {
				b.Fatal(err)
			}
			state, err := agent.OpenState(filepath.Join(dir, "state"))
			if err != nil {
				b.Fatal(err)
			}
			schema := expr.NewSchema()
			traits.Schema(schema)
			for b.Loop() {
				// A machine for each run, as in a process for each run: nothing is known before.
				m, err := machine.New(machine.Options{Now: time.Now})
				if err != nil {
					b.Fatal(err)
				}
				run, err := agent.Apply(context.Background(), agent.ApplyConfig{
					State: state, Language: catalog.Language{Kinds: resources.Registry(), Schema: schema}, Host: m.Host(),
					Log: slog.New(slog.DiscardHandler), Now: time.Now, Source: agent.Folder(os.DirFS(policy)), Node: "bench",
				})
				if err != nil || run.Counts.OK != w.resources() {
					b.Fatalf("%+v, %v", run.Counts, err)
				}
				b.ReportMetric(float64(run.Took.Microseconds())/1000, "converge-ms")
				if err := m.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
