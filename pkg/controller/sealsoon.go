package controller

import (
	"context"
	"sync/atomic"
	"time"
)

// joinPause is the least time between two looks that are made because nodes have joined. Each look asks the forge, too, and has every
// agent of the channel fetch what is sealed anew, so a fleet that grows by many nodes at once is given its secrets in a few of them.
const joinPause = 5 * time.Second

// joins are the nodes that have joined since the last look.
type joins struct {
	sealing atomic.Bool   // a policy uses secrets, or has since the start
	came    chan struct{} // holds one at most: how many there were does not matter
	looked  time.Time     // when a look was due to them last; of the goroutine that runs
}

// SealSoon has Run look without waiting for the next interval, as a node has joined to which secrets may have to be sealed. It does
// nothing where policies use none. It may be called from any goroutine, and does not block.
func (c *Controller) SealSoon() {
	if c.joins.sealing.Load() {
		select {
		case c.joins.came <- struct{}{}:
		default:
		}
	}
	for _, one := range c.others.all() {
		one.SealSoon()
	}
}

// rest waits until the next look is due, and returns false when ctx ends first.
func (j *joins) rest(ctx context.Context, tick <-chan time.Time, nudge <-chan struct{}) bool {
	var due <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick:
			return true
		case <-nudge:
			return true
		case <-j.came:
			due = time.After(joinPause - time.Since(j.looked))
		case <-due:
			j.looked = time.Now()
			return true
		}
	}
}
