package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// uplink is a server to which check-ins are delivered, and that takes a time for each request.
type uplink struct {
	batches
	takes  time.Duration
	singly bool
	fail   error

	mu    sync.Mutex
	sizes []int
	ended int // requests that nobody waited for any longer
}

func newUplink() *uplink {
	u := &uplink{}
	u.deliver = func(ctx context.Context, some []Relayed) (all []Said, singly bool, err error) {
		u.mu.Lock()
		u.sizes = append(u.sizes, len(some))
		u.mu.Unlock()
		select {
		case <-time.After(u.takes):
		case <-ctx.Done():
			u.mu.Lock()
			defer u.mu.Unlock()
			u.ended++
			return nil, false, ctx.Err()
		}
		for _, r := range some {
			all = append(all, Said{Status: 200, Body: r.Body})
		}
		return all, u.singly, u.fail
	}
	return u
}

// say hands n check-ins on at once, and checks that each gets its own answer.
func (u *uplink) say(t *testing.T, n int, answered *sync.WaitGroup) {
	t.Helper()
	for i := range n {
		answered.Go(func() {
			body := fmt.Sprint(i)
			said, singly, err := u.hand(t.Context(), checkInAt("plant", body))
			if err != nil || singly || string(said.Body) != body {
				t.Errorf("check-in %d is answered %q, %t, %v", i, said.Body, singly, err)
			}
		})
	}
	synctest.Wait()
}

func (u *uplink) want(t *testing.T, what string, sizes ...int) {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	if fmt.Sprint(u.sizes) != fmt.Sprint(sizes) {
		t.Errorf("%s: requests with %v check-ins, want %v", what, u.sizes, sizes)
	}
	u.sizes = nil
}

// A check-in that comes alone does not wait; those that come within a fiftieth of a second after it go together.
func TestCheckInsGoTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUplink()
		u.takes = time.Millisecond
		var all sync.WaitGroup
		began := time.Now()
		u.say(t, 1, &all)
		all.Wait()
		if took := time.Since(began); took != u.takes {
			t.Errorf("one alone took %s", took)
		}
		for range 3 {
			time.Sleep(2 * time.Millisecond)
			u.say(t, 2, &all)
		}
		all.Wait()
		u.want(t, "in a crowd", 1, 6)
		if took := time.Since(began); took != batchPace+u.takes {
			t.Errorf("the crowd was answered after %s", took)
		}
		time.Sleep(time.Second)
		began = time.Now()
		u.say(t, 1, &all)
		all.Wait()
		u.want(t, "later", 1)
		if took := time.Since(began); took != u.takes {
			t.Errorf("one alone took %s later", took)
		}
	})
}

// A full batch waits for no time, and no request is larger than it may be.
func TestABatchIsFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUplink()
		var all sync.WaitGroup
		u.say(t, 1, &all)
		u.say(t, 2*MaxCheckIns+5, &all)
		u.want(t, "many", 1, MaxCheckIns, MaxCheckIns)
		all.Wait()
		u.want(t, "the rest", 5)
		time.Sleep(time.Second)
		u.say(t, 1, &all)
		large := checkInAt("plant", string(make([]byte, MaxSmall)))
		for range 10 {
			all.Go(func() {
				if _, _, err := u.hand(t.Context(), large); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		u.want(t, "large ones", 1, 7)
		if size := len(batchOf(t, large, large, large, large, large, large, large)); size > MaxBatch {
			t.Errorf("a batch has %d bytes", size)
		}
		all.Wait()
	})
}

// On a slow line a few requests are under way, and what comes meanwhile goes with the next.
func TestASlowLineHasFewRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUplink()
		u.takes = time.Second
		var all sync.WaitGroup
		for range batchLanes {
			u.say(t, 1, &all)
			time.Sleep(batchPace)
		}
		u.want(t, "as many as may be", 1, 1, 1, 1, 1, 1, 1, 1)
		for range 10 {
			u.say(t, 1, &all)
			time.Sleep(batchPace)
		}
		u.want(t, "while all are under way")
		all.Wait()
		u.want(t, "when the first is answered", 10)
	})
}

// Who does not wait any longer is not sent for; a request that nobody waits for ends, and takes no answer from another.
func TestWhoLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUplink()
		u.takes = time.Minute
		var all sync.WaitGroup
		u.say(t, 1, &all) // stays
		short, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		for range 3 {
			all.Go(func() {
				if _, _, err := u.hand(short, checkInAt("plant", "")); !errors.Is(err, ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("who leaves is told %v", err)
				}
			})
		}
		gone, leave := context.WithCancel(t.Context())
		all.Go(func() { _, _, _ = u.hand(gone, checkInAt("plant", "")) })
		synctest.Wait()
		leave() // before it was sent
		all.Wait()
		u.want(t, "one left before", 1, 3)
		synctest.Wait()
		u.batches.mu.Lock()
		defer u.batches.mu.Unlock()
		if u.ended != 1 || u.underWay != 0 {
			t.Errorf("%d requests were ended, %d are under way", u.ended, u.underWay)
		}
	})
}

// What goes wrong with a request is said to each. A server that takes no batch is not offered one again for a while.
func TestABatchIsNotTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUplink()
		u.fail = ErrUnreachable
		var all sync.WaitGroup
		each := func(what string, want error, alone bool) {
			for range 3 {
				all.Go(func() {
					if _, singly, err := u.hand(t.Context(), checkInAt("plant", "")); !errors.Is(err, want) || singly != alone {
						t.Errorf("%s: %t, %v", what, singly, err)
					}
				})
			}
			all.Wait()
			time.Sleep(time.Second)
		}
		each("away", ErrUnreachable, false)
		u.want(t, "away", 1, 2)
		u.fail, u.singly = nil, true
		time.Sleep(batchPace)
		each("older", nil, true)
		u.want(t, "older", 1)
		each("older still", nil, true)
		u.want(t, "older still")
		u.singly = false
		time.Sleep(batchAgain)
		each("renewed", nil, false)
		u.want(t, "renewed", 1, 2)
	})
}
