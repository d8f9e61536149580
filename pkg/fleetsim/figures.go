package fleetsim

import (
	"crypto/ed25519"
	"crypto/rand"
	"time"

	"vigo.dev/pkg/report"
)

// Figures is what was measured.
type Figures struct {
	Nodes       int           `json:"nodes"`
	Interval    time.Duration `json:"interval"`
	Took        time.Duration `json:"took"`
	Connections string        `json:"connections"` // own, or shared through hubs
	Hubs        int           `json:"hubs"`

	CheckIns   int            `json:"checkIns"` // that were answered
	Rate       float64        `json:"rate"`     // of them, a second
	Latency    Latency        `json:"latency"`  // ms from sending to the whole answer
	Delay      Latency        `json:"delay"`    // ms from when a check-in was due to its sending: this machine, not the service
	Uploads    int            `json:"uploads"`  // of traits and runs
	Upload     Latency        `json:"upload"`
	Changes    int            `json:"changes"`
	Failures   int            `json:"failures"`
	Pressure   int            `json:"pressure"` // turns that the service sent away as busy or too many
	Refused    map[string]int `json:"refused,omitempty"`
	Unanswered int            `json:"unanswered"`
	Why        string         `json:"why,omitempty"` // the first of these
	Skipped    int            `json:"skipped"`       // turns that came while the one before was not over
	Sent       int64          `json:"sent"`          // bytes, those of TLS included
	Received   int64          `json:"received"`
	Introduced Latency        `json:"introduced"` // check-ins of the first interval, in which connections and traits are new

	Service   *Service         `json:"service,omitempty"` // nil: its metrics cannot be read
	Verify    float64          `json:"verify"`            // µs of one Ed25519 verification on this machine
	Stale     *Staleness       `json:"stale,omitempty"`
	Dark      *Darkness        `json:"dark,omitempty"`
	Wrong     int              `json:"wrong"`             // nodes and hubs that went on, and were called silent
	Starved   int              `json:"starved,omitempty"` // nodes that this machine let wait so long that the service may call them silent
	Outages   []Outage         `json:"outages,omitempty"`
	Runs      Ledger           `json:"runs"`
	Presences report.Presences `json:"presences"` // in the end
	Rollout   Rollout          `json:"rollout"`
}

// Service is what the service says of itself.
type Service struct {
	Anew       bool    `json:"anew,omitempty"` // it was started meanwhile: the figures are since then
	CheckIns   int     `json:"checkIns"`       // that it counts
	Cores      float64 `json:"cores"`          // CPU seconds a second
	CPU        float64 `json:"cpu"`            // µs per check-in, of all it did meanwhile
	Memory     int64   `json:"memory"`         // resident bytes, in the end
	Store      int64   `json:"store"`          // bytes
	PerNode    int64   `json:"perNode"`        // of the store
	CommitTime float64 `json:"commitTime"`     // ms of one group
}

// Lost is how many requests of nodes had no good end.
func (f Figures) Lost() int {
	lost := f.Pressure + f.Unanswered + f.Skipped
	for _, n := range f.Refused {
		lost += n
	}
	return lost
}

func (s *Sim) figures(intro, c counts, took time.Duration, before, after scraped) Figures {
	f := Figures{Nodes: s.Nodes, Interval: s.Interval, Took: took, Connections: string(s.Shared), Hubs: len(s.hubs),
		CheckIns: c.checkIns.n, Rate: float64(c.checkIns.n) / took.Seconds(), Latency: c.checkIns.latency(), Delay: c.delay.latency(),
		Uploads: c.uploads.n, Upload: c.uploads.latency(), Changes: c.changes, Failures: c.failures, Pressure: c.pressure, Refused: c.refused,
		Unanswered: c.unanswered, Why: c.why, Skipped: c.skipped, Introduced: intro.checkIns.latency(), Verify: verification(s.Now)}
	if before == nil || after == nil {
		return f
	}
	f.Service = s.service(took, before, after)
	return f
}

// started is the metric of when the service was started.
const started = "process_start_time_seconds"

// service compares two readings of the metrics; counters of one that was started between began at zero.
func (s *Sim) service(took time.Duration, before, after scraped) *Service {
	anew := before[started] != after[started]
	grown := func(name string) float64 {
		if anew {
			return after[name]
		}
		return after[name] - before[name]
	}
	if anew {
		took = max(time.Second, s.Now().Sub(time.Unix(0, int64(after[started]*1e9))))
	}
	n := grown("vigo_report_checkins_total")
	out := &Service{Anew: anew, CheckIns: int(n), Memory: int64(after["process_resident_memory_bytes"]), Store: int64(after["vigo_report_store_bytes"]),
		Cores: grown("process_cpu_seconds_total") / took.Seconds()}
	out.PerNode = out.Store / int64(s.Nodes)
	if n > 0 {
		out.CPU = grown("process_cpu_seconds_total") / n * 1e6
	}
	if commits := grown("vigo_report_store_commits_total"); commits > 0 {
		out.CommitTime = grown("vigo_report_store_commit_seconds_total") / commits * 1000
	}
	return out
}

// verification is what one Ed25519 verification takes, in µs: the least of many batches, so that others on the machine do
// not count.
func verification(now func() time.Time) float64 {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return 0 // the system has no randomness: nothing else has worked, either
	}
	message := make([]byte, 256)
	sig := ed25519.Sign(key, message)
	const batches, size = 50, 20
	least := time.Hour
	for range batches {
		began := now()
		for range size {
			ed25519.Verify(pub, message, sig)
		}
		least = min(least, now().Sub(began)/size)
	}
	return float64(least.Nanoseconds()) / 1000
}
