package reporting

import (
	"errors"
	"fmt"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// The reasons why the store cannot be written, as metrics name them.
const (
	storeFull        = "full"
	storeDisk        = "disk"
	storeUnreachable = "unreachable"
	storeDamaged     = "damaged"
	storeOther       = "other"
)

func storeReasons() []string {
	return []string{storeFull, storeDisk, storeUnreachable, storeDamaged, storeOther}
}

// storeReason says in a word and in a few what an error of the store means.
func storeReason(err error) (reason, words string) {
	switch {
	case errors.Is(err, sqlstore.ErrFull):
		return storeFull, "no room"
	case errors.Is(err, sqlstore.ErrDisk):
		return storeDisk, "its disk takes nothing (a quota, read-only, or failing)"
	case errors.Is(err, sqlstore.ErrUnreachable):
		return storeUnreachable, "the database does not answer"
	case errors.Is(err, sqlstore.ErrDamaged):
		return storeDamaged, "it is damaged"
	}
	return storeOther, "it cannot be written"
}

// While nothing can be kept: what the service refuses, and what goes on.
const (
	storeRefuses = "refused are enrolment, reports of runs, new traits and what people change"
	storeGoesOn  = "check-ins, presence and reading go on, and nodes enforce and keep their reports"
)

// storeTrouble says since when the store cannot be written, and why; "" when it can.
func storeTrouble(st sqlstore.Stats) string {
	if st.Failing == nil {
		return ""
	}
	_, words := storeReason(st.Failing)
	return fmt.Sprintf("store: %s since %s", words, st.Since.UTC().Format(time.RFC3339))
}

// storeProblems is what people are told of it.
func storeProblems(st sqlstore.Stats) []report.Problem {
	if st.Failing == nil {
		return nil
	}
	_, words := storeReason(st.Failing)
	return []report.Problem{{Kind: "store", First: st.Since.UTC(), Text: fmt.Sprintf("%s: %s; %s", words, storeRefuses, storeGoesOn)}}
}

// readiness says what keeps the service from its work; "" for nothing. readable is whether the store could be asked.
func (s *Service) readiness(readable error) string {
	if trouble := storeTrouble(s.DB.Stats()); trouble != "" {
		return trouble + "; " + storeRefuses + "; " + storeGoesOn
	}
	switch {
	case readable != nil:
		return "store: it cannot be read"
	case !s.hearsOthers():
		return "what the other services on the database have kept cannot be read"
	}
	return ""
}

// tellStore says once in the log that nothing can be kept, and once that it can again.
func (s *Service) tellStore(err error, keeps *bool, ending bool) {
	switch {
	case ending:
	case err != nil && *keeps:
		*keeps = false
		_, words := storeReason(err)
		s.Log.Error("store: "+words+"; "+storeRefuses+"; "+storeGoesOn+"; this is not said again until it works", "err", err, "hint", fault.Hints(err))
	case err == nil && !*keeps:
		*keeps = true
		s.Log.Info("store: it can be written again")
	}
}
