package inventory_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"vigo.dev/pkg/inventory"
	"vigo.dev/pkg/trait"
)

// spent is the CPU time of the process: what a search takes on a machine that is not busy with others.
func spent(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSearch is over 100,000 nodes with 400 packages each, in as many sets as nodes divided by twenty; the goal is 100 ms.
func BenchmarkSearch(b *testing.B) {
	f := newFleet()
	sets := make([]map[string]any, 5000)
	for i := range sets {
		sets[i] = map[string]any{}
		for p := range 400 {
			sets[i][fmt.Sprintf("package-%d", (p+i%200)%600)] = map[string]string{"version": fmt.Sprintf("1.%d.%d", p%7, (i*p)%5), "arch": "amd64"}
		}
		sets[i]["openssl"] = map[string]string{"version": fmt.Sprintf("3.0.%d", i%20)}
	}
	for i := range 100_000 {
		f.say(b, fmt.Sprintf("web-%d", i), map[string]string{"env": []string{"prod", "test"}[i%2]}, map[string]any{
			"os": map[string]string{"family": "debian", "version": fmt.Sprint(11 + i%3)}, "packages": sets[i%len(sets)],
		})
	}
	for _, q := range []string{
		`version(packages.openssl.version) < version("3.0.17")`,
		`os.version == "12" and env == "prod" and has(packages["package-7"])`,
		`glob("web-9*", node)`,
		`node == "web-9" or node == "web-77"`,
		`not glob("*-9", node) and glob("*7*", node) and os.version == "12"`,
	} {
		cond := compile(b, q)
		b.Run(q, func(b *testing.B) {
			began := spent(b)
			for b.Loop() {
				if found, err := f.x.Search(b.Context(), cond, f); err != nil || len(found) == 0 {
					b.Fatal(len(found), err)
				}
			}
			b.ReportMetric(float64((spent(b)-began).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}

// BenchmarkDiff compares what a node had with what it has: one of 400 packages has another version.
func BenchmarkDiff(b *testing.B) {
	docs := make([][]byte, 2)
	for i := range docs {
		packages := map[string]any{}
		for p := range 400 {
			packages[fmt.Sprintf("package-%d", p)] = map[string]string{"version": fmt.Sprintf("1.%d.%d", p%7, 5), "arch": "amd64"}
		}
		packages["openssl"] = map[string]string{"version": fmt.Sprintf("3.0.%d", i), "arch": "amd64"}
		f, err := trait.FacetOf("packages", packages)
		if err != nil {
			b.Fatal(err)
		}
		docs[i] = f.Doc
	}
	began := spent(b)
	for b.Loop() {
		if changes, _, err := inventory.Diff(docs[0], docs[1], 40); err != nil || len(changes) != 1 {
			b.Fatal(changes, err)
		}
	}
	b.ReportMetric(float64((spent(b)-began).Microseconds())/float64(b.N), "cpu-µs/op")
}
