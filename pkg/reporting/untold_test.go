package reporting

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trait"
)

// crowd puts so many nodes into the store of a rig that does not run that it answers before it has read what they have.
func (r *rig) crowd(t *testing.T) {
	t.Helper()
	db, err := sql.Open("sqlite", r.path)
	must(t, err)
	_, err = db.ExecContext(t.Context(), fmt.Sprintf(`INSERT INTO node (name, key, doc) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i <= %d)
		SELECT 'crowd-' || i, randomblob(32), '{"channel":"stable"}' FROM n`, atTheDoor))
	must(t, errors.Join(err, db.Close()))
}

// tells has a node tell its traits, and deliver the documents that it is asked for.
func (r *rig) tells(t *testing.T, node string, facets ...trait.Facet) report.Answer {
	t.Helper()
	digests := map[string]string{}
	for _, f := range facets {
		digests[f.Name] = f.Digest
	}
	answer := r.checkIn(t, report.CheckIn{Node: node, Traits: trait.Root(digests), Facets: digests})
	if len(answer.Need) > 0 {
		must(t, r.PutFacets(t.Context(), node, report.Facets{Node: node, Facets: facets}))
	}
	return answer
}

// A service of many nodes answers before it has read what they have. Nobody is asked for what is here, what is said meanwhile counts, and
// people are told that answers may miss nodes.
func TestAnswersBeforeItHasReadTraits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	debian, alpine, small := facet(t, "os", map[string]string{"family": "debian"}), facet(t, "os", map[string]string{"family": "alpine"}), facet(t, "cpu", map[string]int{"cores": 2})
	for _, name := range []string{"web-1", "web-2", "web-3"} {
		r.join(t, name)
		r.tells(t, name, debian)
	}
	r.tells(t, "web-3", debian, small)
	must(t, r.DB.Close())
	r.crowd(t)
	r.pass(time.Minute)
	r.start(t)

	count := func(when string, lacks bool) []report.ValueCount {
		t.Helper()
		found, err := r.Inventory(t.Context(), report.Question{Count: "os.family"})
		must(t, err)
		if lacks != (found.Lacking > 0) {
			t.Errorf("%s: it lacks %d", when, found.Lacking)
		}
		return found.Counts
	}
	count("before it has read", true)
	if d := r.node(t, "web-1"); d.Facets["os"] != debian.Digest {
		t.Errorf("a node that was not read has %v", d.Facets)
	}
	if answer := r.checkIn(t, report.CheckIn{Node: "web-1", Traits: trait.Root(map[string]string{"os": debian.Digest})}); answer.Names || len(answer.Need) > 0 {
		t.Errorf("who says the same is asked for %+v", answer)
	}
	if answer := r.tells(t, "web-2", alpine); len(answer.Need) > 0 {
		t.Errorf("what is here is not known, and a node is asked for %v", answer.Need)
	}
	r.mu.Lock()
	r.forgot([]string{small.Digest}) // by another service
	r.mu.Unlock()
	must(t, r.Retire(t.Context(), "web-1"))
	r.join(t, "web-1") // another machine, with no traits yet

	must(t, r.readTraits(t.Context(), false))
	r.readDocuments(t.Context(), false)
	if answer := r.checkIn(t, report.CheckIn{Node: "web-2", Traits: trait.Root(map[string]string{"os": alpine.Digest})}); !slices.Equal(answer.Need, []string{alpine.Digest}) {
		t.Errorf("of what was said meanwhile, it is asked for %v", answer.Need)
	}
	must(t, r.PutFacets(t.Context(), "web-2", report.Facets{Node: "web-2", Facets: []trait.Facet{alpine}}))
	if answer := r.checkIn(t, report.CheckIn{Node: "web-3", Traits: trait.Root(map[string]string{"os": debian.Digest, "cpu": small.Digest})}); !slices.Equal(answer.Need, []string{small.Digest}) {
		t.Errorf("of what was forgotten meanwhile, it is asked for %v", answer.Need)
	}
	must(t, r.PutFacets(t.Context(), "web-3", report.Facets{Node: "web-3", Facets: []trait.Facet{small}}))
	if answer := r.checkIn(t, report.CheckIn{Node: "web-3", Traits: trait.Root(map[string]string{"os": debian.Digest, "cpu": small.Digest})}); len(answer.Need) > 0 {
		t.Errorf("of what it has sent, it is asked for %v", answer.Need)
	}
	got := count("after it has read", false)
	if want := []report.ValueCount{{Value: nil, Nodes: atTheDoor + 2}, {Value: "alpine", Nodes: 1}, {Value: "debian", Nodes: 1}}; !slices.Equal(got, want) {
		t.Errorf("it counts %v, want %v", got, want)
	}
	if d := r.node(t, "web-1"); len(d.Facets) > 0 {
		t.Errorf("a new machine has the traits of the old one: %v", d.Facets)
	}
}
