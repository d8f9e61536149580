package dashboard

import (
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// phaseClass is the state that the phase of a rollout looks like.
func phaseClass(p rollout.Phase) string {
	switch p {
	case rollout.Running:
		return "changed"
	case rollout.Paused, rollout.Reverting, rollout.Reverted:
		return "stale"
	case rollout.Aborted:
		return "failed"
	case rollout.Completed:
		return "ok"
	}
	return "never"
}

// wordClass is the state that the word of a node looks like.
func wordClass(w rollout.Word) string {
	switch w {
	case rollout.Healthy:
		return "ok"
	case rollout.Admitted, rollout.Adopting, rollout.Applied:
		return "changed"
	case rollout.Failed, rollout.Lost, rollout.SelfReverted:
		return "failed"
	case rollout.Offline, rollout.Waiting, rollout.Partial:
		return "stale"
	}
	return "never"
}

// stageClass is the state that a stage looks like.
func stageClass(state string) string {
	switch state {
	case "open":
		return "changed"
	case "passed":
		return "ok"
	case "skipped":
		return "skipped"
	}
	return "never"
}

// rolloutBar is the nodes of a rollout by their words.
func rolloutBar(r report.RolloutStatus) bar {
	var parts []part
	for _, word := range []rollout.Word{rollout.Healthy, rollout.Applied, rollout.Partial, rollout.Adopting, rollout.Admitted, rollout.Failed, rollout.SelfReverted, rollout.Lost,
		rollout.Waiting, rollout.Offline, rollout.Pending, rollout.Pinned, rollout.Ineligible} {
		parts = append(parts, part{Class: wordClass(word), Name: string(word), Count: r.Counts[word]})
	}
	return newBar("nodes of "+r.Channel, parts...)
}
