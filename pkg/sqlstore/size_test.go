package sqlstore

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trait"
)

// maxNodeBytes is what a node may take on disk that has 400 packages as no other node has them, and changes nothing.
const maxNodeBytes = 20 << 10

// TestSizeOfNode: a node that is as it should be takes little, and check-ins that say what the ones before said add nothing.
func TestSizeOfNode(t *testing.T) { everyDatabase(t, testSizeOfNode) }

func testSizeOfNode(t *testing.T, fresh opener) {
	const nodes, rounds = 300, 40
	d, _ := fresh(t)
	empty := sizeOf(t, d)
	s := secretOf(t, d, identity.Grant{})
	facets := make([]map[string]string, nodes)
	for i := range nodes {
		name := fmt.Sprintf("web-%05d.example.com", i)
		enroll(t, d, s, name, name)
		docs := traitsOf(t, i)
		must(t, d.PutFacets(t.Context(), docs, noon))
		facets[i] = map[string]string{}
		for _, f := range docs {
			facets[i][f.Name] = f.Digest
		}
	}
	round := func(n int, describes bool) {
		for i := range nodes {
			h := Hot{Node: fmt.Sprintf("web-%05d.example.com", i), Seen: noon.Add(time.Duration(n) * 30 * time.Second), Told: 30 * time.Second, Counter: int64(n)}
			if describes || n%10 == 0 { // as the service does every five minutes
				h.Doc = account(i, n)
			}
			if describes {
				h.Facets = facets[i]
			}
			d.PutHot(h)
		}
		settle(t, d)
	}
	round(0, true)
	first, rows := sizeOf(t, d), rowsOf(t, d)
	for n := 1; n <= rounds; n++ {
		round(n, n%20 == 0) // names are said again after each restart of an agent
		if n%5 == 0 {
			reuse(t, d)
		}
	}
	after := sizeOf(t, d)
	if now := rowsOf(t, d); now != rows {
		t.Errorf("what changes nothing has added rows: %s, were %s", now, rows)
	}
	t.Logf("%d bytes for each node, %d after %d more check-ins", (first-empty)/nodes, (after-empty)/nodes, rounds)
	if each := (after - empty) / nodes; each > maxNodeBytes {
		t.Errorf("%d bytes for each node, at most %d", each, maxNodeBytes)
	}
	sizeOfChanges(t, d, nodes, facets)
}

// reuse has the room of old rows used again, as PostgreSQL does by itself when there are enough of them, and forgets what all
// services have read.
func reuse(t *testing.T, d *DB) {
	t.Helper()
	if !d.dialect.feeds {
		return
	}
	must(t, d.PruneFeed(t.Context(), time.Now().Add(2*feedKeep)))
	_, err := d.read.ExecContext(t.Context(), "VACUUM")
	must(t, err)
}

// sizeOfChanges logs what changes add.
func sizeOfChanges(t *testing.T, d *DB, nodes int, facets []map[string]string) {
	t.Helper()
	const resources = 100
	before := sizeOf(t, d)
	for i := range nodes {
		run := report.Run{ID: fmt.Sprintf("%012x-%016x", 1795904860072+i, i), Node: fmt.Sprintf("web-%05d.example.com", i), Started: noon, Commit: "be24b098ca3e8ae8e0236798d30396a9407999f7"}
		for j := range resources {
			run.Results = append(run.Results, report.Result{ID: fmt.Sprintf("baseline/file:/etc/service-%d.d/part-%d.conf", j%7, j), Outcome: report.Changed, Took: time.Millisecond,
				Changes: []change.Change{{Field: "ensure", From: "absent", To: "file"}, {Field: "content", Diff: fmt.Sprintf("--- is\n+++ want\n@@ -1,1 +1,1 @@\n+setting-%d = %d\n", j, i)}}})
		}
		must(t, d.PutRuns(t.Context(), run.Node, []report.Run{run}, noon))
	}
	t.Logf("a run that changes %d resources: %d bytes", resources, (sizeOf(t, d)-before)/int64(nodes))
	before = sizeOf(t, d)
	const times = 10
	entries := map[int64]*report.HistoryEntry{}
	for n := range times {
		for i := range nodes {
			changed := map[string]string{"packages": fmt.Sprintf("sha256:%064x", n*nodes+i)}
			for name, digest := range facets[i] {
				if name != "packages" {
					changed[name] = digest
				}
			}
			d.PutHot(Hot{Node: fmt.Sprintf("web-%05d.example.com", i), Seen: noon.Add(time.Hour), Told: 30 * time.Second, Facets: changed})
		}
		settle(t, d)
		waiting, err := d.FacetChanges(t.Context(), 0, 10*nodes)
		must(t, err)
		clear(entries)
		for _, c := range waiting {
			entries[c.ID] = &report.HistoryEntry{At: c.At, Node: c.Node, Subject: c.Trait, Outcome: report.Changed,
				Changes: []change.Change{{Field: "libssl-example.version", From: "3.0.16-1~deb12u1", To: "3.0.17-1~deb12u1"}}}
		}
		must(t, d.PutTraitHistory(t.Context(), entries))
		reuse(t, d)
	}
	t.Logf("a package of another version: %d bytes", (sizeOf(t, d)-before)/int64(nodes*times))
}

func sizeOf(t *testing.T, d *DB) int64 {
	t.Helper()
	n, err := d.Size(t.Context())
	must(t, err)
	return n
}

// rowsOf counts what a quiet node must not add to.
func rowsOf(t *testing.T, d *DB) (text string) {
	t.Helper()
	for _, table := range []string{"node", "hot", "account", "facet", "node_facet", "run", "event", "history", "trait_history", "facet_change", "audit"} {
		var n int
		must(t, d.queryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
		text += fmt.Sprintf("%s %d ", table, n)
	}
	return text
}

// traitsOf are the traits of a node: what it says of itself is as on no other, but for the system and the hardware.
func traitsOf(t *testing.T, i int) []trait.Facet {
	t.Helper()
	rnd := rand.New(rand.NewPCG(uint64(i), 7))
	type doc = map[string]any
	packages, services, users := doc{}, doc{}, doc{}
	for len(packages) < 400 {
		p := rnd.IntN(3000)
		of := rand.New(rand.NewPCG(uint64(p), 1))
		name := word(of, 3+of.IntN(9))
		if of.IntN(3) == 0 {
			name = "lib" + name + fmt.Sprint(of.IntN(9))
		}
		packages[name] = doc{"arch": "amd64", "version": fmt.Sprintf("%d.%d.%d-%d+deb12u%d", of.IntN(9), of.IntN(40), of.IntN(20), of.IntN(9), rnd.IntN(4))}
	}
	for range 60 {
		services[word(rand.New(rand.NewPCG(uint64(rnd.IntN(200)), 2)), 9)] = doc{"running": rnd.IntN(2) == 0, "enabled": true, "failed": false}
	}
	for j := range 30 {
		name := word(rand.New(rand.NewPCG(uint64(rnd.IntN(100)), 3)), 7)
		users[name] = doc{"uid": 1000 + j, "gid": 1000 + j, "home": "/home/" + name, "shell": "/bin/bash", "groups": []string{name}, "system": false, "login": true}
	}
	var facets []trait.Facet
	for name, v := range map[string]any{"packages": packages, "services": services, "users": users,
		"hostname":   doc{"short": fmt.Sprint("web-", i), "full": fmt.Sprintf("web-%d.example.com", i)},
		"interfaces": doc{"eth0": doc{"mac": fmt.Sprintf("02:00:00:00:%02x:%02x", i>>8, i&255), "mtu": 1500, "up": true, "addresses": []string{fmt.Sprintf("10.0.%d.%d/16", i>>8, i&255)}}},
		"boot":       doc{"id": fmt.Sprintf("%08x-0000-4000-8000-%012x", rnd.Uint32(), rnd.Uint64()>>16)},
		"os":         doc{"family": "debian", "id": "debian", "version": fmt.Sprint(11 + i%3)}, "kernel": doc{"name": "Linux", "release": fmt.Sprintf("6.%d.0-amd64", i%5)},
		"cpu": doc{"cores": 4, "model": fmt.Sprint("Model ", i%9)}, "memory": doc{"total_mb": 16384}, "mounts": []doc{{"device": "/dev/sda1", "fstype": "ext4", "target": "/"}, {"device": "/dev/sdb1", "fstype": "xfs", "target": "/srv"}},
	} {
		f, err := trait.FacetOf(name, v)
		must(t, err)
		facets = append(facets, f)
	}
	return facets
}

func word(rnd *rand.Rand, n int) string {
	text := make([]byte, n)
	for i := range text {
		text[i] = "etaoinshrdlucmfwypvbgkjqxz"[min(rnd.IntN(26), rnd.IntN(26))]
	}
	return string(text)
}

// account is about what the service keeps of a node that is well.
func account(i, n int) []byte {
	return jsonOf(map[string]any{"last": report.CheckIn{Node: fmt.Sprintf("web-%05d.example.com", i), Seq: int64(n), Boot: fmt.Sprintf("%032x", i), Agent: "1.0.0", Interval: 30 * time.Second,
		Channel: "production", Pointer: "3.1412", Bundle: fmt.Sprintf("sha256:%064x", 7), Traits: fmt.Sprintf("sha256:%064x", i), Run: report.Summary{ID: fmt.Sprintf("%029x", i), Started: noon, Counts: report.Counts{OK: 250}}},
		"state": "ok", "since": noon, "heard": noon, "changed": noon})
}
