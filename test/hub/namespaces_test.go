package hub

import (
	"fmt"
	"maps"
	"os"
	"testing"
	"time"

	"vigo.dev/pkg/report"
)

// needsRoot skips the test where namespaces cannot be made.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("makes network namespaces, which needs root")
	}
}

// cutTime is how long a link is cut at least: longer than connections, hubs and nodes wait for an answer.
const cutTime = 12 * time.Second

// TestACutAnywhere has four places in a row: the centre, a hub, a hub behind that one, and a site with five nodes. Each
// link is cut in turn while policy changes; then the uplink is slow, then lossy.
func TestACutAnywhere(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	centre, port, plant, site := newPlace(t), newPlace(t), newPlace(t), newPlace(t)
	uplink, middle, last := newLink(t, 1, centre, port), newLink(t, 2, port, plant), newLink(t, 3, plant, site)
	f := newFleet(t, centre, uplink.near)
	_, a := f.startHub(port, "port", "0.0.0.0:8443", f.address)
	_, b := f.startHub(plant, "plant", "0.0.0.0:8443", middle.near+":8443")
	t.Logf("centre %s, hubs %s and %s", f.address, a, b)
	for i := range 5 {
		f.join(site, fmt.Sprint("web-", i), last.near+":8443")
	}
	f.converged(f.nodes...)
	f.status("all well at first", f.well)

	for _, place := range []struct {
		name string
		*link
		missed map[string]int // what the centre misses, by kind of problem
	}{
		{"centre to hub", uplink, map[string]int{"dark": 2}},
		{"hub to hub", middle, map[string]int{"dark": 1}},
		{"hub to site", last, map[string]int{"stale": 5}},
	} {
		name, l := place.name, place.link
		before := f.version
		l.sever()
		f.commit()
		began := time.Now()
		f.nodes[0].spoil(t)
		took := time.Since(began)
		f.commit()
		f.status("the centre to miss them", func(st report.Status) error {
			kinds := map[string]int{}
			for _, p := range st.Problems {
				kinds[p.Kind]++
			}
			if !maps.Equal(kinds, place.missed) {
				return fmt.Errorf("%v: %+v", kinds, st.Problems)
			}
			return nil
		})
		for i := 1; time.Since(began) < cutTime; i++ { // all the while
			f.nodes[i%len(f.nodes)].spoil(t)
		}
		for _, n := range f.nodes {
			if n.motd() != fmt.Sprint("version ", before) {
				t.Errorf("%s is cut: %s got %q", name, n.name, n.motd())
			}
		}
		cut := time.Since(began)
		l.set(0, 0)
		began = time.Now()
		f.converged(f.nodes...)
		newest := time.Since(began)
		f.status("all well after a cut from "+name, f.well)
		t.Logf("%s: cut for %s; a file was put back after %s; the newest version was everywhere %s after the cut, all reports %s after",
			name, cut.Round(time.Second), took.Round(100*time.Millisecond), newest.Round(100*time.Millisecond), time.Since(began).Round(100*time.Millisecond))
	}

	for _, line := range []struct {
		name  string
		delay time.Duration
		loss  float64
	}{{"slow (200 ms there and back, 1 % loss)", 100 * time.Millisecond, 0.01}, {"lossy (20 %)", 0, 0.20}} {
		name := line.name
		uplink.set(line.delay, line.loss)
		began := time.Now()
		for range 3 {
			f.commit()
			f.converged(f.nodes...)
		}
		newest := time.Since(began)
		f.status("all well with an uplink that is "+name, f.delivered)
		t.Logf("uplink %s: three versions were everywhere after %s, all reports after %s; %d packets lost so far", name,
			newest.Round(100*time.Millisecond), time.Since(began).Round(100*time.Millisecond), uplink.lostSoFar())
	}
	uplink.set(0, 0)
	f.status("all well in the end", f.well)
	f.arrived()
}
