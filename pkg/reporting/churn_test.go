package reporting

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/change"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/pkg/trait"
)

// TestChurn plays 30 days of a fleet that does not rest, in counted time: each hour 2 % of the nodes have a package of another
// version, tell of it and of the run that changed it, and each day 1 % of the machines are replaced. The store grows until the
// oldest is as old as it is kept, and no more. The sizes of each day are logged; VIGO_CHURN_NODES plays more than 60 nodes
// (docs/sizing.md has 3,000).
func TestChurn(t *testing.T) {
	t.Parallel()
	nodes := 60
	if text := os.Getenv("VIGO_CHURN_NODES"); text != "" {
		var err error
		nodes, err = strconv.Atoi(text)
		must(t, err)
	}
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		churn{nodes: nodes, tidy: func() error { return nil }}.play(t, newRig(t))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		address := one.Database(t)
		db, err := sql.Open("pgx", address)
		must(t, err)
		t.Cleanup(func() { must(t, db.Close()) })
		vacuum := func() error { // which the database does by itself, but by the clock on the wall
			_, err := db.ExecContext(t.Context(), "VACUUM")
			return err
		}
		churn{nodes: nodes, tidy: vacuum}.play(t, newRigAt(t, address))
	})
}

// churn is a fleet that does not rest.
type churn struct {
	nodes int
	tidy  func() error
	names []string
	said  map[string]map[string]string // versions of the packages of each node
	rnd   *rand.Rand
	token string
	made  int
}

const (
	churnDays = 30
	churnKeep = 10 * 24 * time.Hour
)

func (c churn) play(t *testing.T, r *rig) {
	limit := sqlstore.Limit{Age: churnKeep}
	r.Keep = Keep{Retention: sqlstore.Retention{Runs: limit, Quiet: limit, Events: limit, History: limit, Traits: limit, Facets: time.Hour}, Audit: limit, Retired: limit}
	c.said, c.rnd = map[string]map[string]string{}, rand.New(rand.NewPCG(uint64(c.nodes), 1))
	c.token = r.tokenFor(t, api.TokenRequest{Names: "*"})
	began, empty := time.Now(), c.bytes(t, r)
	c.join(t, r, c.nodes)
	t.Logf("%d nodes have joined: %s, %s", c.nodes, c.size(t, r), time.Since(began).Round(time.Second))
	sizes := []int64{}
	replaced := 0.0
	for day := range churnDays {
		for hour := range 24 {
			r.pass(time.Hour)
			c.hour(t, r)
			if c.nodes >= 1000 || hour%6 == 0 { // a small fleet would do little else
				r.prune(t.Context())
			}
		}
		for replaced += float64(c.nodes) / 100; replaced >= 1; replaced-- {
			must(t, r.Retire(t.Context(), c.names[0]))
			delete(c.said, c.names[0])
			c.names = c.names[1:]
			c.join(t, r, 1)
		}
		must(t, errors.Join(r.DB.PruneFeed(t.Context(), time.Now().Add(time.Hour)), c.tidy()))
		sizes = append(sizes, c.bytes(t, r)-empty)
		t.Logf("day %2d: %s, %s", day+1, c.size(t, r), time.Since(began).Round(time.Second))
	}
	// Without an end it would be more than twice as large. VACUUM leaves pages that others look at, and those move on a busy machine.
	if full, end := sizes[11], sizes[churnDays-1]; end > full*5/4 {
		t.Errorf("the store goes on growing when the oldest go: %d bytes on day 12, %d on day %d", full, end, churnDays)
	}
}

// hour has some nodes change a package.
func (c *churn) hour(t *testing.T, r *rig) {
	changed := map[string]bool{}
	for want := max(1, c.nodes/50); len(changed) < want; {
		changed[c.names[c.rnd.IntN(len(c.names))]] = true
	}
	versions := map[string]string{}
	for name := range changed {
		of := slices.Sorted(maps.Keys(c.said[name]))[c.rnd.IntN(len(c.said[name]))]
		versions[name] = of
		c.said[name][of] = c.version()
	}
	c.each(slices.Sorted(maps.Keys(changed)), func(name string) error {
		pkg := versions[name]
		run := report.Run{ID: fmt.Sprint("run-", r.Now().Unix()), Node: name, Started: r.Now(), Commit: "be24b098ca3e8ae8e0236798d30396a9407999f7", Counts: report.Counts{OK: 240, Changed: 3},
			Results: []report.Result{
				{ID: "web/package:" + pkg, Outcome: report.Changed, Changes: []change.Change{{Field: "version", From: "1", To: c.said[name][pkg]}}},
				{ID: "web/file:/etc/" + pkg + ".conf", Outcome: report.Changed, Changes: []change.Change{{Field: "content", Diff: "--- is\n+++ want\n@@ -1 +1 @@\n-port 80\n+port 8080\n"}}},
				{ID: "web/service:" + pkg, Outcome: report.Changed, Refresh: "restart"}}}
		return errors.Join(r.PutRuns(t.Context(), name, []report.Run{run}), c.says(t, r, name, run))
	})(t)
	settle(t, r)
}

// says has a node check in and upload what it is asked for.
func (c *churn) says(t *testing.T, r *rig, name string, run report.Run) error {
	packages := map[string]any{}
	for pkg, version := range c.said[name] {
		packages[pkg] = map[string]string{"version": version, "arch": "amd64"}
	}
	docs, facets := map[string]trait.Facet{}, map[string]string{}
	for of, v := range map[string]any{"packages": packages, "hostname": map[string]string{"short": name}, "os": map[string]string{"family": "debian", "version": "12"}} {
		f, err := trait.FacetOf(of, v)
		if err != nil {
			return err
		}
		docs[f.Digest], facets[of] = f, f.Digest
	}
	answer, err := r.CheckIn(t.Context(), report.CheckIn{Node: name, Seq: r.Now().Unix(), Agent: "1", Channel: "stable", Pointer: "1.7", Bundle: current, Interval: half,
		Traits: trait.Root(facets), Facets: facets, Run: report.Summary{ID: run.ID, Started: run.Started, Counts: run.Counts}})
	if err != nil {
		return err
	}
	var wanted []trait.Facet
	for _, digest := range answer.Need {
		wanted = append(wanted, docs[digest])
	}
	return r.PutFacets(t.Context(), name, report.Facets{Node: name, Facets: wanted})
}

// join has n more machines enrol, each with 400 packages as no other has them.
func (c *churn) join(t *testing.T, r *rig, n int) {
	fresh := make([]string, n)
	for i := range fresh {
		c.made++
		fresh[i] = fmt.Sprintf("web-%05d.example.com", c.made)
		c.said[fresh[i]] = map[string]string{}
		for len(c.said[fresh[i]]) < 400 {
			c.said[fresh[i]][fmt.Sprintf("lib%x%d", c.rnd.IntN(3000)*7919, c.rnd.IntN(2))] = c.version()
		}
	}
	c.names = append(c.names, fresh...)
	c.each(fresh, func(name string) error {
		key, err := identity.NewNodeKey()
		if err != nil {
			return err
		}
		_, err = r.enroll(t, key, c.token, name)
		return errors.Join(err, c.says(t, r, name, report.Run{ID: "first", Started: r.Now(), Counts: report.Counts{OK: 243}}))
	})(t)
}

func (c *churn) version() string {
	return fmt.Sprintf("%d.%d.%d-%d+deb12u%d", c.rnd.IntN(9), c.rnd.IntN(40), c.rnd.IntN(20), c.rnd.IntN(9), c.rnd.IntN(4))
}

// each does something for many nodes, 64 at once, as they would share a commit; what it returns fails the test.
func (c *churn) each(names []string, do func(string) error) func(*testing.T) {
	var all sync.WaitGroup
	slots, errs := make(chan struct{}, 64), make([]error, len(names))
	for i, name := range names {
		slots <- struct{}{}
		all.Go(func() {
			errs[i] = do(name)
			<-slots
		})
	}
	all.Wait()
	return func(t *testing.T) { t.Helper(); must(t, errors.Join(errs...)) }
}

func (c *churn) bytes(t *testing.T, r *rig) int64 {
	bytes, err := r.DB.Size(t.Context())
	must(t, err)
	return bytes
}

func (c *churn) size(t *testing.T, r *rig) string {
	bytes := c.bytes(t, r)
	return fmt.Sprintf("%.1f MB, %.1f KB a node", float64(bytes)/1e6, float64(bytes)/1e3/float64(c.nodes))
}
