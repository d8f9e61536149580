package reporting

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/report"
)

// The limits on what one node can put into the events by saying that it refuses things.
const (
	maxRefusalEvents = 64  // in an hour
	maxEventText     = 512 // bytes
)

// budget counts in the running hour.
type budget struct {
	hour time.Time
	n    int
}

// spend counts one more, and returns how many there are now.
func (b *budget) spend(now time.Time) int { return b.add(now, 1) }

// add counts n more.
func (b *budget) add(now time.Time, n int) int {
	if hour := now.Truncate(time.Hour); !hour.Equal(b.hour) {
		*b = budget{hour: hour}
	}
	b.n += n
	return b.n
}

// hearRefusals makes an event of each thing that a node refuses now and did not before, and of the end of it. The caller
// holds the lock, and keeps the node.
func (s *Service) hearRefusals(n *node, refusals []report.Refusal, now time.Time) {
	happened := func(kind, text string) {
		n.news = append(n.news, report.Event{At: now.UTC(), Node: n.Name, Kind: kind, Text: strings.ToValidUTF8(text[:min(len(text), maxEventText)], "")})
	}
	before := n.account.Last.Refusals
	for _, r := range refusals {
		if slices.ContainsFunc(before, func(old report.Refusal) bool { return old.Name == r.Name && old.What == r.What }) {
			continue
		}
		switch spent := n.refused.spend(now); {
		case spent < maxRefusalEvents:
			happened("node.refused", r.Name+": "+r.Detail+what(r.What))
		case spent == maxRefusalEvents:
			happened("node.refused", "more than can be listed in this hour")
		default:
			continue
		}
		s.metrics.refusals.Inc()
		s.Log.Warn("a node has refused something", "node", n.Name, "refusal", r.Name, "what", r.What, "detail", r.Detail)
	}
	if len(before) > 0 && len(refusals) == 0 {
		happened("node.settled", fmt.Sprintf("of %d that it told of last", len(before)))
	}
}
