package reporting

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// rewrite is how old the kept account of a node may be that says the same again and again. What it then lacks after a crash
// (when the last run began, how old the pointer was) comes with the next check-in; that the node was heard of, and its
// counter, are kept of every check-in.
const rewrite = 5 * time.Minute

// keepHeard has a check-in written with the next group: the account of the node only when it says something else than before,
// facets came, something happened, or the one that is kept is old. The caller holds the lock.
func (s *Service) keepHeard(n *node, before *account, facets map[string]string, now time.Time) error {
	awaited := n.account.Wish.After != "" && n.account.Last.Run.ID != before.Last.Run.ID // the leader counts it
	if awaited || facets != nil || len(n.news) > 0 || now.Sub(n.written) >= rewrite || now.Before(n.written) || !before.sameAs(&n.account) {
		return s.keep(n, facets)
	}
	s.DB.PutHot(sqlstore.Hot{Node: n.Name, Seen: n.seen, Told: n.told, Counter: n.window.Highest()})
	return nil
}

// keep has what is known of a node written with the next group; facets may be nil. The caller holds the lock.
func (s *Service) keep(n *node, facets map[string]string) error {
	doc, err := json.Marshal(n.account)
	if err != nil {
		return fmt.Errorf("keeping what %s said: %w", n.Name, err)
	}
	s.DB.PutHot(sqlstore.Hot{Node: n.Name, Seen: n.seen, Told: n.told, Counter: n.window.Highest(), Doc: doc, Facets: facets, Events: n.news})
	n.news, n.written = nil, s.Now()
	return nil
}

// sameAs is whether two accounts differ in nothing but what every check-in changes: its number, when it came, how old the
// pointer was then, and which run that found the same it speaks of. Of which run a failure is, is a difference.
func (a *account) sameAs(b *account) bool {
	return sameWord(&a.Last, &b.Last) && a.State == b.State && a.Since.Equal(b.Since) && a.Failing == b.Failing && a.Reason == b.Reason && a.First.Equal(b.First) &&
		a.Changed.Equal(b.Changed) && maps.Equal(a.Failed, b.Failed) && (a.well() || a.Whole.Equal(b.Whole)) && a.Ahead.Equal(b.Ahead) && sameReport(&a.Report, &b.Report) &&
		a.Wish.At.Equal(b.Wish.At) && a.Wish.After == b.Wish.After && a.Excess.At.Equal(b.Excess.At) && a.Excess.Text == b.Excess.Text
}

// well is whether nothing is known to be wrong.
func (a *account) well() bool { return a.Failing == 0 && a.Reason == "" && len(a.Failed) == 0 }

func sameWord(a, b *report.CheckIn) bool {
	return a.Node == b.Node && a.Boot == b.Boot && a.Agent == b.Agent && a.Interval == b.Interval && a.Channel == b.Channel && a.Root == b.Root &&
		a.Pointer == b.Pointer && a.Bundle == b.Bundle && a.Adopting == b.Adopting && a.Pinned == b.Pinned && a.Why == b.Why && a.Run.Counts == b.Run.Counts && a.Run.Error == b.Run.Error && a.Run.Before == b.Run.Before && a.Traits == b.Traits &&
		maps.Equal(a.Facets, b.Facets) && slices.Equal(a.Refusals, b.Refusals) && a.Spooled == b.Spooled && a.Hub == b.Hub
}

func sameReport(a, b *report.HubReport) bool {
	return a.Hub == b.Hub && a.Version == b.Version && len(a.Seen) == 0 && len(b.Seen) == 0 && a.Nodes == b.Nodes && a.Spooled == b.Spooled &&
		maps.Equal(a.Mirrors, b.Mirrors) && a.Trouble == b.Trouble
}
