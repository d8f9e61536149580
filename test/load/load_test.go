package load

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"vigo.dev/test/postgres"
	"vigo.dev/test/programs"
	"vigo.dev/test/self"
)

// TestFleet takes a service through all that can happen to it while its fleet works: on a file, and then, with the same fleet, on
// PostgreSQL.
func TestFleet(t *testing.T) {
	t.Parallel()
	z := sizeOf(t)
	var b table
	t.Cleanup(func() { t.Logf("\n%s", &b) })
	s := newService(t, folder(t), z.interval)
	s.start()
	t.Run("silence", func(t *testing.T) { testSilence(t, s, z, &b, "SQLite") })
	t.Run("killed", func(t *testing.T) { testKilled(t, s, z, &b) })
	s.stop()
	server := postgres.For(t, os.Getenv("VIGO_LOAD_DIR"))
	var err error
	s.store, err = server.Database(t.Context(), "vigo")
	must(t, err)
	run(t, self.Command(t, "vigo", "report", "copy", "--data", s.data(), "--store", s.store))
	s.start()
	t.Run("silence on PostgreSQL", func(t *testing.T) { testSilence(t, s, z, &b, "PostgreSQL") })
	t.Run("PostgreSQL is taken away", func(t *testing.T) { testDatabase(t, s, z, &b, server) })
	s.stop()
}

// testSilence: nodes that go silent at once are called stale within a second, each once; a hub that goes dark is told once,
// whatever is behind it; and nobody else is.
func testSilence(t *testing.T, s *service, z size, b *table, store string) {
	lasts := max(4*time.Second, 3*z.interval)
	f := simulate(t, s, z, lasts, "--failures", z.failures(), "--silent", count(z.nodes, 50), "--dark-hub", count(z.nodes, 250))
	silence(t, s, b, store, f.figures())
}

// testKilled: a service that is stopped, and one that is killed, is as before within ten seconds of its start. What it has
// acknowledged is there, and nobody is called silent because it did not listen.
func testKilled(t *testing.T, s *service, z size, b *table) {
	f := simulate(t, s, z, max(24*time.Second, 4*z.interval), "--failures", z.failures())
	all := []disturbance{f.disturb("stopped", s.stop), f.disturb("killed", s.kill), f.disturb("killed again", s.kill)}
	out := f.figures()
	good(t, out)
	b.add(t, "stopped, killed, killed again", "SQLite", out, "as before after: "+strings.Join(recovered(t, out, all), ", "))
}

// testDatabase: without its database the service says to those who want something kept that they are to come again, shows that it
// is so, and goes on by itself.
func testDatabase(t *testing.T, s *service, z size, b *table, server *postgres.Server) {
	f := simulate(t, s, z, max(24*time.Second, 4*z.interval), "--failures", z.failures())
	var all []disturbance
	for _, way := range []struct {
		what string
		end  func() error
	}{{"PostgreSQL stopped", server.Stop}, {"PostgreSQL killed", server.Kill}} {
		d := disturbance{what: way.what, began: time.Now()}
		must(t, way.end())
		failures := s.metric("vigo_report_store_failures_total")
		programs.Await(t, "the service to show that it cannot keep anything", time.Minute, func() bool {
			return s.ready() == 503 && s.metric("vigo_report_store_failures_total") > failures
		})
		d.start = time.Now()
		must(t, server.Start(t.Context()))
		programs.Await(t, "the service to be ready again", recovery, func() bool { return s.ready() == 200 })
		f.service.checkIns(3 * z.perSecond())
		all = append(all, d)
	}
	all = append(all, f.disturb("killed", s.kill))
	out := f.figures()
	good(t, out)
	if out.Pressure == 0 {
		t.Error("no node was told to come again")
	}
	b.add(t, "PostgreSQL stopped and killed, service killed", "PostgreSQL", out, "as before after: "+strings.Join(recovered(t, out, all), ", "))
}

// count is one in so many of the nodes, and at least 20.
func count(nodes, of int) string { return strconv.Itoa(max(20, nodes/of)) }
