package up

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/excerpt"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
)

// maxMistakes and maxMistakeText bound what is told of a commit that does not compile; `vigo lint` shows the rest.
const (
	maxMistakes    = 20
	maxMistakeText = 8 << 10
)

// Notes turns the status of a controller into what the report service is told of each channel.
func Notes(s controller.Status) []report.ChannelNote {
	if len(s.Others) == 0 {
		return notesOf(s, "stable")
	}
	s.From = s.Branch
	notes := notesOf(s, s.Feeds...)
	for _, other := range s.Others {
		if other.Polled.IsZero() {
			other.Polled = s.Polled
		}
		notes = append(notes, notesOf(other, other.Feeds...)...)
	}
	if s.Failure != nil && len(s.Channels) == 0 { // a branch that only says who feeds what
		for i := range notes {
			if notes[i].Error == "" {
				notes[i].Error, notes[i].ErrorCommit, notes[i].ErrorSince = s.Branch+": "+failureText(*s.Failure), s.Failure.Commit, s.Failure.Since
			}
		}
	}
	return notes
}

// notesOf is what is told of the channels of one branch. Those without a pointer yet are told of when the branch fails: the
// mistake must be seen.
func notesOf(s controller.Status, feeds ...string) []report.ChannelNote {
	notes := make([]report.ChannelNote, 0, len(s.Channels)+1)
	for _, c := range s.Channels {
		note := report.ChannelNote{Channel: c.Name, Pointer: bundle.Pointer{Epoch: c.Epoch, Seq: c.Seq}.Version(),
			Issued: c.Issued, Expires: c.Expires, Digest: c.Digest, Commit: c.Commit, Candidate: c.Candidate, Trial: c.Trial, Checked: s.Polled, Interval: s.Interval, From: s.From}
		if c.Digest == s.Bundle { // a channel that is promoted by hand may be elsewhere
			note.Approvals = s.Approvals
		}
		for _, m := range s.Modes[c.Name] {
			note.Modes = append(note.Modes, report.Mode(m))
		}
		notes = append(notes, note)
	}
	if s.Rewrite != nil {
		for i := range notes {
			notes[i].Rewritten = s.Rewrite.Old + " " + s.Rewrite.New
		}
	}
	notes = withWaiting(notes, s)
	if s.Failure == nil {
		return notes
	}
	for _, name := range feeds {
		if len(notes) == 0 || len(s.Feeds) > 0 && !slices.ContainsFunc(notes, func(n report.ChannelNote) bool { return n.Channel == name }) {
			notes = append(notes, report.ChannelNote{Channel: name, Checked: s.Polled, From: s.From})
		}
	}
	for i := range notes {
		notes[i].Error, notes[i].ErrorCommit, notes[i].ErrorSince = failureText(*s.Failure), s.Failure.Commit, s.Failure.Since
	}
	return notes
}

// withWaiting tells what waits for people, also of a channel that was given nothing yet.
func withWaiting(notes []report.ChannelNote, s controller.Status) []report.ChannelNote {
	for _, w := range s.Waiting {
		if w.Bundle == "" {
			continue // nothing is asked
		}
		at := slices.IndexFunc(notes, func(n report.ChannelNote) bool { return n.Channel == w.Channel })
		if at < 0 {
			at = len(notes)
			notes = append(notes, report.ChannelNote{Channel: w.Channel, Checked: s.Polled, Interval: s.Interval, From: s.From})
		}
		notes[at].Waiting = &report.Waiting{Digest: w.Bundle, Commit: w.Commit, Since: w.Since, Note: w.Note, Approved: w.Approved, Needs: w.Needs,
			Missing: max(0, w.Needs-len(w.Approved)), Reason: w.Reason}
	}
	return notes
}

// failureText is the mistakes of a commit, one a line, or what else went wrong.
func failureText(f controller.Failure) string {
	lines := []string{strings.TrimSpace(f.Message)}
	if len(f.Problems) > 0 {
		lines = lines[:0]
		for _, p := range f.Problems[:min(len(f.Problems), maxMistakes)] {
			lines = append(lines, p.Error())
		}
		if more := len(f.Problems) - len(lines); more > 0 {
			lines = append(lines, fmt.Sprintf("and %d more; `vigo lint` shows all", more))
		}
	}
	return excerpt.Of(strings.Join(lines, "\n"), maxMistakeText)
}

// Grants turns the status of a controller into what the report service is told of labels, by branch.
func Grants(s controller.Status) []report.Grants {
	told := []report.Grants{}
	for _, branch := range append([]controller.Status{s}, s.Others...) {
		if len(branch.Grants) == 0 || len(branch.Channels) == 0 {
			continue
		}
		g := report.Grants{Grants: branch.Grants}
		for _, c := range branch.Channels {
			g.Channels = append(g.Channels, c.Name)
		}
		told = append(told, g)
	}
	return told
}

// A Noter takes what a controller says of its channels, and the rules of alerts: the report service in this process, or its client.
type Noter interface {
	PutChannels(ctx context.Context, notes []report.ChannelNote) error
	PutAlertRules(ctx context.Context, rules []report.AlertRule) error
	PutGrants(ctx context.Context, told []report.Grants) error
}

// Teller passes the status of a controller on: when it changes, and every so often, so that a service that was restored
// from a backup learns it again and a controller that is gone is missed.
type Teller struct {
	name    string // of this process
	changed chan struct{}
	again   time.Duration // between two times that the same is said
	retry   time.Duration // after a failure
}

// NewTeller makes a Teller; Run delivers.
func NewTeller() *Teller {
	host, err := os.Hostname()
	if err != nil {
		host = "controller"
	}
	return &Teller{name: host + "/" + strings.ToLower(rand.Text()[:6]), changed: make(chan struct{}, 1), again: time.Minute, retry: 5 * time.Second}
}

// Note implements controller.Listener.
func (t *Teller) Note(controller.Status) {
	select {
	case t.changed <- struct{}{}:
	default: // what is read later is newer
	}
}

// Run delivers what status returns, from the first change on, until ctx ends.
func (t *Teller) Run(ctx context.Context, to Noter, status func() controller.Status, log *slog.Logger) {
	var wait <-chan time.Time
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.changed:
		case <-wait:
		}
		now := status()
		notes := Notes(now)
		for i := range notes {
			notes[i].Controller = t.name
		}
		err := to.PutChannels(ctx, notes)
		if err == nil && now.Built.Commit != "" {
			err = errors.Join(to.PutGrants(ctx, Grants(now)), to.PutAlertRules(ctx, now.Alerts)) // rules look at labels
		}
		switch {
		case err != nil && ctx.Err() != nil:
			return
		case err != nil && !failing:
			log.Warn("telling the report service what is published; it is tried again", "err", err, "hint", strings.Join(fault.Hints(err), "; "))
		case err == nil && failing:
			log.Info("the report service was told what is published")
		}
		failing = err != nil
		wait = time.After(t.again)
		if failing {
			wait = time.After(t.retry)
		}
	}
}
