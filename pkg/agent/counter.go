package agent

import (
	"fmt"
	"sync"
	"time"
)

// counterStep is how many numbers are reserved on disk at once: a signed request writes to disk only every so often,
// and a crash skips the rest of the step.
const counterStep = 10_000

// counter gives numbers that rise for ever, also over crashes: the replay counter of signed requests. They begin at the
// milliseconds of the clock, so they rise also when the file is lost or cannot be written; the file makes them rise when
// the clock goes back.
type counter struct {
	state State
	now   func() time.Time

	mu       sync.Mutex
	next     int64
	reserved int64 // numbers below are reserved on disk
}

type counterDoc struct {
	Reserved int64 `json:"reserved"`
}

// openCounter reads where the numbers go on. When that cannot be read it is said in the error, beside a counter that goes
// by the clock.
func openCounter(s State, now func() time.Time) (*counter, error) {
	var doc counterDoc
	_, err := s.readJSON(counterFile, &doc)
	if err != nil {
		doc = counterDoc{}
	}
	return &counter{state: s, now: now, next: max(doc.Reserved+1, now().UnixMilli()), reserved: doc.Reserved}, err
}

// Next returns the next number; it is reserved on disk before it is returned, unless it is one that the clock has passed.
func (c *counter) Next() (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next >= c.reserved {
		upTo := c.next + counterStep
		err := c.state.writeJSON(counterFile, counterDoc{Reserved: upTo})
		if err != nil && c.next > c.now().UnixMilli() {
			return 0, fmt.Errorf("reserving request numbers: %w", err)
		}
		if err == nil {
			c.reserved = upTo
		}
	}
	n := c.next
	c.next++
	return n, nil
}
