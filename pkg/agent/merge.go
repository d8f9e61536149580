package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/excerpt"
	"vigo.dev/pkg/report"
)

// mergedResults bounds the results kept when runs are merged.
const mergedResults = 1000

// merge makes one run of two files. What is damaged is put aside and needs no merging.
func (s *spool) merge(older, newer string) error {
	a, errA := s.read(older)
	b, errB := s.read(newer)
	if errors.Is(errA, errDamaged) || errors.Is(errB, errDamaged) {
		return nil
	}
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	one := spooled{Run: fit(merged(a.Run, b.Run)), Absorbs: []string{a.ID, b.ID}}
	if err := s.write(one); err != nil {
		return err
	}
	for _, name := range []string{older, newer} {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing a merged run: %w", err)
		}
	}
	return nil
}

// merged makes one run of two: from the start of the older to the end of the newer, with the sum of the counts, but
// for what still waits, and the newest results. It has an ID of its own, so that the service takes it even if it has seen one of the two.
func merged(older, newer report.Run) report.Run {
	one := newer
	one.ID = newID(newer.Started)
	one.Counts = sum(older.Counts, newer.Counts)
	one.Results = append(append([]report.Result(nil), older.Results...), newer.Results...)
	if over := len(one.Results) - mergedResults; over > 0 {
		one.Results = one.Results[over:]
	}
	one.Started, one.Took = older.Started, newer.Started.Add(newer.Took).Sub(older.Started)
	if one.Error == "" {
		one.Error = older.Error
	}
	return one
}

func sum(a, b report.Counts) report.Counts {
	return report.Counts{
		OK: a.OK + b.OK, Changed: a.Changed + b.Changed, Corrected: a.Corrected + b.Corrected, Failed: a.Failed + b.Failed,
		Skipped: a.Skipped + b.Skipped, Drift: a.Drift + b.Drift, Refreshed: a.Refreshed + b.Refreshed, Waiting: b.Waiting,
	}
}

// runLimit bounds the bytes of one run, well below what the service takes at once.
const runLimit = api.MaxUpload / 2

// fit leaves out results until the service can take the run; the counts stay, and the last result says what is missing.
func fit(r report.Run) report.Run {
	total := len(r.Results)
	keep := min(total, api.MaxResults-1)
	for ; ; keep /= 2 {
		r.Results = r.Results[:keep]
		if data, err := json.Marshal(r); err != nil || len(data) <= runLimit || keep == 0 {
			break
		}
	}
	if keep < total {
		r.Error = excerpt.Of(r.Error, maxError)
		r.Results = append(slices.Clip(r.Results), report.Result{ID: "agent/report:rest", Outcome: report.Skipped,
			Reason: fmt.Sprintf("%d of %d results are left out of this report, which would be too large", total-keep, total)})
	}
	return r
}
