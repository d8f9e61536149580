package report

import "time"

// Presence is whether a node is heard of, judged by the receipt time of its last check-in and the interval that it
// was told.
type Presence string

// The presences.
const (
	Live    Presence = "live"    // ≤ 1.5 × interval
	Late    Presence = "late"    // ≤ 3 × interval
	Stale   Presence = "stale"   // > 3 × interval
	Missing Presence = "missing" // > 24 h, or > 3 × interval where that is longer
	Retired Presence = "retired" // taken out by an operator
	Never   Presence = "never"   // enrolled, and has not checked in yet
)

// Compliance is whether a node is as its policy says; a separate axis from presence.
type Compliance string

// The compliances.
const (
	ComplianceOK      Compliance = "ok"
	ComplianceChanged Compliance = "changed"
	ComplianceDrift   Compliance = "drift"
	ComplianceFailed  Compliance = "failed"
	ComplianceNever   Compliance = "never" // no run reported yet
)

// PresenceAt returns the presence at now of a node heard of last at seen with the given interval.
func PresenceAt(now, seen time.Time, interval time.Duration) Presence {
	if seen.IsZero() {
		return Never
	}
	silent := now.Sub(seen)
	switch {
	case silent <= interval*3/2:
		return Live
	case silent <= 3*interval:
		return Late
	case silent <= max(24*time.Hour, 3*interval):
		return Stale
	}
	return Missing
}
