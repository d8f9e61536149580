package alert

import (
	"strings"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// RolloutWake is when an event of rollouts changes although nothing new happens; zero: it does not.
func RolloutWake(s rollout.State) time.Time {
	if s.Phase != rollout.Completed {
		return time.Time{}
	}
	return s.Since.Add(completedFor)
}

// completedFor is how long a rollout that has come to its end is found.
const completedFor = 10 * time.Minute

// OfRollouts reports whether an event is about the rollouts of channels.
func OfRollouts(event string) bool { return strings.HasPrefix(event, "rollout.") }

// RolloutIs is whether an event of rollouts is so of the last rollout of a channel, and what is to be said of it.
func RolloutIs(event string, s rollout.State, now time.Time) (text string, is bool) {
	switch event {
	case report.EventRolloutStarted:
		is = s.Phase == rollout.Running || s.Phase == rollout.Paused
	case report.EventRolloutApproval:
		is = s.Phase == rollout.Running && s.Reason == rollout.WaitingApproval
	case report.EventRolloutPaused:
		is = s.Phase == rollout.Paused
	case report.EventRolloutAborted:
		is = s.Phase == rollout.Aborted || s.Phase == rollout.Reverting || s.Phase == rollout.Reverted
	case report.EventRolloutCompleted:
		is = s.Phase == rollout.Completed && now.Sub(s.Since) < completedFor
	}
	if !is {
		return "", false
	}
	text = "rollout " + s.ID + " is " + string(s.Phase)
	if event == report.EventRolloutStarted {
		return text, true // and stays so: what it waits for changes
	}
	text += ": " + string(s.Reason)
	if s.Stage < len(s.Spec.Stages) {
		text += ", stage " + s.Spec.Stages[s.Stage].Name
	}
	if s.Detail != "" {
		text += ": " + s.Detail
	}
	if s.By != "" {
		text += ", by " + s.By
	}
	return text, true
}

// Rollout looks at the last rollout of a channel.
func (l *Look) Rollout(channel string, s rollout.State, now time.Time) {
	if text, is := RolloutIs(l.Event, s, now); is {
		l.Channels(channel, text)
	}
}
