package up

import (
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/pkg/trait"
	"vigo.dev/pkg/traits"
)

// benchNodes is how many nodes BenchmarkPages has, of which one in fifty fails; with forty sorts of packages and twenty of policies.
const benchNodes = 100_000

// BenchmarkPages is what each page of the dashboard costs the service with 100,000 nodes, without a network.
func BenchmarkPages(b *testing.B) {
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	keys, err := Keys(b.Context(), b.TempDir(), controller.KeyringOptions{Now: time.Now})
	must(err)
	schema := expr.NewSchema()
	traits.Schema(schema)
	conf := Config{Data: b.TempDir(), Fleet: "acme", Listen: "127.0.0.1:0", Channel: "production", TrustRoot: keys.Root(), Version: "test",
		Language: catalog.Language{Kinds: resources.Registry(), Schema: schema}, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	first, err := Open(b.Context(), conf)
	must(err)
	must(first.Close())
	must(insertNodes(conf.Data))
	stack, err := Open(b.Context(), conf)
	must(err)
	defer func() { must(stack.Close()) }()
	must(benchReports(b, stack))
	token, err := stack.Credential(b.Context(), api.Operator{Name: "ada", Role: identity.RoleAdmin}, "")
	must(err)
	board, err := stack.dashboard()
	must(err)
	pages := board.Handler()
	for _, path := range []string{"/ui/", "/ui/nodes", "/ui/nodes?page=500", "/ui/nodes?compliance=failed&sort=seen", "/ui/nodes?label=site%3Ds7", "/ui/nodes/node-050000",
		"/ui/inventory?where=version(packages.openssl.version)+<+version(%223.0.17%22)&show=os.version", "/ui/inventory?count=packages.openssl.version",
		"/ui/compliance", "/ui/compliance?control=cis:7&state=failed", "/ui/compliance?control=cis:7&page=50", "/ui/channels", "/ui/alerts", "/ui/hubs", "/ui/events", "/ui/audit"} {
		b.Run(path, func(b *testing.B) {
			size, before := 0, cpuTime(b)
			for b.Loop() {
				req := httptest.NewRequest(http.MethodGet, path, nil)
				req.AddCookie(&http.Cookie{Name: "__Host-vigo", Value: token})
				w := httptest.NewRecorder()
				pages.ServeHTTP(w, req)
				if size = w.Body.Len(); w.Code != http.StatusOK || size > 256<<10 {
					b.Fatalf("%d, %d bytes", w.Code, size)
				}
			}
			b.ReportMetric(float64(size)/1024, "KiB")
			b.ReportMetric(float64(cpuTime(b)-before)/1e6/float64(b.N), "cpu-ms/op")
		})
	}
}

// cpuTime is what the process has computed: the time on the clock says little on a machine that others use.
func cpuTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// insertNodes enrols the nodes without tokens and certificates.
func insertNodes(data string) error {
	db, err := sql.Open("sqlite", filepath.Join(data, "report.db"))
	if err != nil {
		return err
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	for i := range benchNodes {
		n := sqlstore.Node{Name: fmt.Sprintf("node-%06d", i), Key: binary.BigEndian.AppendUint64(make([]byte, 24), uint64(i)), Channel: "production", Enrolled: time.Now(),
			Labels: map[string]string{"site": fmt.Sprint("s", i%250)}, CertExpires: time.Now().AddDate(0, 0, 7)}
		doc, err := json.Marshal(n)
		if err != nil {
			return err
		}
		if _, err := tx.Exec("INSERT INTO node (name, key, doc) VALUES (?, ?, ?)", n.Name, []byte(n.Key), doc); err != nil {
			return err
		}
	}
	return errors.Join(tx.Commit(), db.Close())
}

// benchReports has each node check in, tell its traits and deliver its run if it failed.
func benchReports(b *testing.B, s *Stack) error {
	ctx := b.Context()
	now := time.Now()
	notes := []report.ChannelNote{{Channel: "production", Pointer: "1.7", Issued: now, Expires: now.Add(time.Hour), Digest: "sha256:1", Interval: time.Hour}}
	if err := s.reports.PutChannels(ctx, notes); err != nil {
		return err
	}
	failing := make(chan report.Run, benchNodes)
	sent := map[string]bool{}
	sorts := make([][]trait.Facet, 120) // the least that 40 sorts of packages, 20 of policies and 3 of systems repeat after
	for i := range sorts {
		sorts[i] = benchTraits(i)
	}
	for i := range benchNodes {
		name := fmt.Sprintf("node-%06d", i)
		facets, digests := sorts[i%len(sorts)], map[string]string{}
		for _, f := range facets {
			digests[f.Name] = f.Digest
		}
		c := report.CheckIn{Node: name, Agent: "1", Channel: "production", Pointer: "1.7", Bundle: "sha256:1", Facets: digests,
			Run: report.Summary{ID: "1", Started: now, Counts: report.Counts{OK: 200}}}
		if i%50 == 0 {
			c.Run.Counts = report.Counts{OK: 199, Failed: 1}
			failing <- report.Run{ID: "1", Node: name, Started: now, Counts: c.Run.Counts, Results: []report.Result{{ID: "m0/file:/7", Outcome: report.Failed, Reason: "it cannot be written", Controls: []string{"cis:7"}}}}
		}
		if _, err := s.reports.CheckIn(ctx, c); err != nil {
			return err
		}
		for _, f := range facets {
			if sent[f.Digest] {
				continue
			}
			sent[f.Digest] = true
			if err := s.reports.PutFacets(ctx, name, report.Facets{Node: name, Facets: []trait.Facet{f}}); err != nil {
				return err
			}
		}
	}
	close(failing)
	var all sync.WaitGroup
	for range 500 {
		all.Go(func() {
			for run := range failing {
				if err := s.reports.PutRuns(ctx, run.Node, []report.Run{run}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	return nil
}

func benchTraits(i int) []trait.Facet {
	packages, controls := map[string]any{}, report.ControlDoc{}
	for p := range 100 {
		packages[fmt.Sprint("package-", p)] = map[string]any{"version": fmt.Sprintf("%d.%d", p, i%40)}
	}
	packages["openssl"] = map[string]any{"version": fmt.Sprintf("3.0.%d", i%40)}
	for c := range 200 {
		controls[fmt.Sprint("cis:", c)] = []string{fmt.Sprintf("m%d/file:/%d", c%7, c), fmt.Sprintf("m/package:%d-%d", c, i%20)}
	}
	var list []trait.Facet
	for name, doc := range map[string]any{"os": map[string]any{"id": "debian", "version": fmt.Sprint(11 + i%3)}, "packages": packages, report.ControlsTrait: controls} {
		f, err := trait.FacetOf(name, doc)
		if err != nil {
			panic(err)
		}
		list = append(list, f)
	}
	return list
}
