package sqlstore

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// BenchmarkHot keeps that each of 100,000 nodes was heard of, in groups as they come with 3,333 check-ins a second, in another
// order than that of the names.
func BenchmarkHot(b *testing.B) {
	const nodes, group = 100_000, 667
	d, err := Open(b.Context(), filepath.Join(b.TempDir(), "report.db"), Options{Flush: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	order := rand.New(rand.NewPCG(1, 2)).Perm(nodes)
	number, at := int64(0), noon
	round := func(n int) {
		for i := range n {
			number++
			d.PutHot(Hot{Node: fmt.Sprintf("web-%06d", order[int(number)%nodes]), Seen: at, Told: 30 * time.Second, Counter: number})
			if i%group == group-1 {
				at = at.Add(200 * time.Millisecond)
				if err := d.PutNote(b.Context(), "group", at); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	round(nodes)
	began := spent(b)
	for b.Loop() {
		round(nodes)
	}
	b.ReportMetric(float64((spent(b)-began).Microseconds())/float64(b.N)/nodes, "cpu-µs/record")
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
}

// spent is the CPU time of the process: what something takes on a machine that is not busy with others.
func spent(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
