package sqlstore

import (
	"testing"
	"time"
)

// TestExamine: what does not fit together in a store is found, in either database, and what does is not.
func TestExamine(t *testing.T) { eachPlace(t, testExamine) }

func testExamine(t *testing.T, d *DB, file, address string) {
	stored(t, d)
	examine := func() (found Findings) {
		t.Helper()
		see := func(f Findings) error {
			found = f
			hash, err := f.Audit(t.Context(), 1)
			if hash == "" {
				t.Errorf("entry 1 has no hash: %v", err)
			}
			return err
		}
		if address != "" {
			must(t, ExaminePostgres(t.Context(), address, noon.Add(time.Minute), see))
		} else {
			must(t, ExamineFile(t.Context(), file, noon.Add(time.Minute), see))
		}
		return found
	}
	well := examine()
	if well.Schema != well.Known || well.Wrong != "" || well.Rows["node"] != 3 || well.Bytes["node"] == 0 || well.Gaps != 0 || well.Lacking != 0 || !well.Newest.Equal(noon) || well.Clock.IsZero() != (address == "") {
		t.Errorf("a store that is well: %+v", well)
	}
	for table, n := range well.Orphans {
		if n != 0 {
			t.Errorf("%d rows of %s are of no node", n, table)
		}
	}
	if well.Expired != 3 { // they were enrolled without certificates
		t.Errorf("%d certificates are past their time", well.Expired)
	}
	must(t, d.commit(t.Context(), func(t *tx) error {
		for _, query := range []string{"DELETE FROM node WHERE name = 'web-1'", "DELETE FROM facet", "DELETE FROM audit WHERE seq = 2", "UPDATE event SET at = at + 3600000000000"} {
			if _, err := t.exec(query); err != nil {
				return err
			}
		}
		return nil
	}))
	ill := examine()
	if ill.Orphans["hot"] != 1 || ill.Orphans["account"] != 1 || ill.Orphans["run"] != 2 || ill.Orphans["node_facet"] != 1 || ill.Lacking != 1 || ill.Gaps != 1 || !ill.Newest.Equal(noon.Add(time.Hour)) {
		t.Errorf("a store that somebody has changed by hand: %+v", ill)
	}
}
