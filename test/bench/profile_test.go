package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vigo.dev/pkg/agent"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/bundle/bundletest"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/machine"
	"vigo.dev/pkg/policy"
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
			policyDir := filepath.Join(dir, "policy")
			if err := writeAll(policyDir, vigoPolicy(w)); err != nil {
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
			source := packed(b, policyDir, catalog.Language{Kinds: resources.Registry(), Schema: schema})
			for b.Loop() {
				// A machine for each run, as in a process for each run: nothing is known before.
				m, err := machine.New(machine.Options{Now: time.Now})
				if err != nil {
					b.Fatal(err)
				}
				run, err := agent.Apply(context.Background(), agent.ApplyConfig{
					State: state, Language: catalog.Language{Kinds: resources.Registry(), Schema: schema}, Host: m.Host(),
					Log: slog.New(slog.DiscardHandler), Now: time.Now, Source: agent.Bundle(source, "it", nil), Node: "bench",
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

// packed is the bundle of a policy, as an agent reads it.
func packed(b *testing.B, dir string, l catalog.Language) bundle.Source {
	b.Helper()
	_, layers, err := policy.Read(os.DirFS(dir), l.Check)
	if err != nil {
		b.Fatal(err)
	}
	var in []bundle.LayerInput
	for _, layer := range layers {
		in = append(in, bundle.LayerInput{Module: layer.Module, Files: layer.Files})
	}
	built, err := bundle.Build(bundle.Config{Fleet: "bench"}, in)
	if err != nil {
		b.Fatal(err)
	}
	store := bundletest.NewMemory()
	if err := built.Push(b.Context(), store, "it"); err != nil {
		b.Fatal(err)
	}
	return store
}
