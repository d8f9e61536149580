package reporting

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"vigo.dev/pkg/report"
)

// rivalry is how long two controllers are told of after they took turns last: each says something every minute.
const rivalry = 3 * time.Minute

// keepPublished keeps what a channel has when a controller that cannot publish does not say it: it is there still. Otherwise it
// remembers which candidate the channel has no more.
func keepPublished(n *report.ChannelNote, old report.ChannelNote) {
	if n.Pointer != "" || n.Error == "" {
		n.Dropped = ""
		if n.Candidate == "" {
			n.Dropped = cmp.Or(old.Candidate, old.Dropped)
		}
		return
	}
	n.Dropped, n.Pointer, n.Issued, n.Expires, n.Digest, n.Commit, n.Candidate, n.Trial = old.Dropped, old.Pointer, old.Issued, old.Expires, old.Digest, old.Commit, old.Candidate, old.Trial
}

// noteRivals finds out that two controllers tell of one channel: one that was followed by another says something again. One that
// was started again does not, since it has another name.
func noteRivals(n *report.ChannelNote, old report.ChannelNote) {
	n.Controller = n.Controller[:min(len(n.Controller), 100)]
	n.Other, n.Rivals = old.Other, old.Rivals
	if n.Controller != old.Controller && old.Controller != "" {
		if n.Controller != "" && n.Controller == old.Other {
			n.Rivals = n.Heard
		}
		n.Other = old.Controller
	}
	if n.Rivals.IsZero() || n.Heard.Sub(n.Rivals) >= rivalry {
		return
	}
	text := fmt.Sprintf("two controllers publish this channel, %s and %s: stop one of them", min(n.Controller, n.Other), max(n.Controller, n.Other))
	n.Error = strings.TrimSpace(text + "\n" + n.Error)
}
