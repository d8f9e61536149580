package fleetsim

import (
	"math"
	"sync"
	"time"
)

// histogram counts durations in steps of 2 %, so quantiles of millions take no memory.
type histogram struct {
	counts [1200]int
	n      int
	most   time.Duration
}

// growth is from one step to the next; the first ends at 1 µs, the last at about 6 hours.
const growth = 1.02

func (h *histogram) add(d time.Duration) {
	step := 0
	if us := float64(d) / float64(time.Microsecond); us > 1 {
		step = min(int(math.Ceil(math.Log(us)/math.Log(growth))), len(h.counts)-1)
	}
	h.counts[step]++
	h.n++
	h.most = max(h.most, d)
}

// at is the duration that a share q of all do not exceed.
func (h *histogram) at(q float64) time.Duration {
	left := int(math.Ceil(q * float64(h.n)))
	for step, n := range h.counts {
		if left -= n; left <= 0 && h.n > 0 && step < len(h.counts)-1 { // the last step has no end
			return min(time.Duration(math.Pow(growth, float64(step))*float64(time.Microsecond)), h.most)
		}
	}
	return h.most
}

// Latency is how long something took, in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func (h *histogram) latency() Latency {
	return Latency{millis(h.at(.5)), millis(h.at(.99)), millis(h.most)}
}

func millis(d time.Duration) float64 { return math.Round(float64(d)/float64(time.Microsecond)) / 1000 }

// tally is what was counted since it was taken last.
type tally struct {
	mu sync.Mutex
	counts
	second histogram // check-ins of the running second
	behind time.Duration
	lost   int
	pulse  pulse // of the running second
}

type counts struct {
	checkIns, uploads histogram
	delay             histogram // of the generator itself
	refused           map[string]int
	pressure          int // 503 and 429
	unanswered        int
	why               string // of the first that was not answered
	changes, failures int
	skipped           int
}

func (t *tally) with(do func(*tally)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	do(t)
}

// take returns what was counted, and begins anew.
func (t *tally) take() counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.counts
	t.counts = counts{}
	return c
}
