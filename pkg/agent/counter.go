package agent

import (
	"fmt"
	"sync"
)

// counterStep is how many numbers are reserved on disk at once: a signed request writes to disk only every so often,
// and a crash skips the rest of the step.
const counterStep = 10_000

// counter gives numbers that rise for ever, also over crashes: the replay counter of signed requests.
type counter struct {
	state State

	mu       sync.Mutex
	next     int64
	reserved int64 // numbers below are reserved on disk
}

type counterDoc struct {
	Reserved int64 `json:"reserved"`
}

func openCounter(s State) (*counter, error) {
	var doc counterDoc
	if _, err := s.readJSON(counterFile, &doc); err != nil {
		return nil, err
	}
	return &counter{state: s, next: doc.Reserved + 1, reserved: doc.Reserved}, nil
}

// Next returns the next number; it is reserved on disk before it is returned.
func (c *counter) Next() (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next > c.reserved {
		upTo := c.next + counterStep
		if err := c.state.writeJSON(counterFile, counterDoc{Reserved: upTo}); err != nil {
			return 0, fmt.Errorf("reserving request numbers: %w", err)
		}
		c.reserved = upTo
	}
	n := c.next
	c.next++
	return n, nil
}
