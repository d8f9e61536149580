package vigocmd

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"vigo.dev/pkg/cli"
)

const (
	// heapRoom is how much memory beyond what is in use a service may let fill up with garbage before it is collected, as long
	// as that is not less than Go's own rule gives it.
	heapRoom = 1 << 30
	// How much that is at most and at least, in percent of what is in use: Go's own rule is 100.
	mostGarbage, leastGarbage = 300, 100
)

// tuneCollector has garbage collected less often than Go does by itself, until ctx ends. What a service has in use grows with
// its fleet and lives long, so going through it is most of what collecting costs; see docs/sizing.md. Whoever sets GOGC or
// GOMEMLIMIT has decided otherwise.
func tuneCollector(ctx context.Context, env *cli.Env) {
	if env.Getenv("GOGC") != "" || env.Getenv("GOMEMLIMIT") != "" {
		return
	}
	at := garbageFor(heapInUse())
	defer debug.SetGCPercent(debug.SetGCPercent(at))
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if next := garbageFor(heapInUse()); next != at {
			at = next
			debug.SetGCPercent(at)
		}
	}
}

// garbageFor is how much garbage there may be, in percent of the bytes in use; in steps of 10, so that it is seldom changed.
func garbageFor(inUse uint64) int {
	percent := int(100 * float64(heapRoom) / float64(max(inUse, 1<<20)))
	return min(max(percent/10*10, leastGarbage), mostGarbage)
}

// heapInUse is what the last collection found to be in use, in bytes.
func heapInUse() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}
