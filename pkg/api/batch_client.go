package api

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// How check-ins are gathered.
const (
	batchPace  = 20 * time.Millisecond // between the beginnings of two requests, unless there is enough for a full one
	batchLanes = 8                     // requests under way at once; what comes meanwhile goes with the next
	batchAgain = 10 * time.Minute      // until a server that did not take a batch is offered one again
)

// batches hands check-ins of many nodes on, in as few requests as that is possible without letting them wait: one that comes alone
// goes at once, and those that come within [batchPace], or while no further request may be under way, go together.
type batches struct {
	deliver func(context.Context, []Relayed) (all []Said, singly bool, err error)

	mu       sync.Mutex
	waiting  []*parcel // oldest first
	underWay int
	began    time.Time // when the last request was
	timed    bool      // somebody looks again when it is time
	alone    time.Time // until then the server gets one by one
}

// A parcel is one check-in on its way.
type parcel struct {
	Relayed
	done   chan struct{} // closed when the rest is there
	said   Said
	singly bool // it was not taken, and is to be sent by itself
	err    error
	load   *load // it is part of; nil: it waits
}

// A load is what is under way in one request.
type load struct {
	parcels []*parcel
	wanted  int // parcels for whose answer somebody waits
	cancel  context.CancelFunc
}

// hand hands one check-in on. With singly it was not sent, and is to be.
func (b *batches) hand(ctx context.Context, r Relayed) (said Said, singly bool, err error) {
	p := &parcel{Relayed: r, done: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, p)
	b.start()
	b.mu.Unlock()
	select {
	case <-p.done:
		return p.said, p.singly, p.err
	case <-ctx.Done():
		b.leave(p)
		return Said{}, false, fmt.Errorf("%w: %w", ErrUnreachable, ctx.Err())
	}
}

// leave is for who does not wait any longer. A request that nobody waits for ends.
func (b *batches) leave(p *parcel) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.load != nil {
		if p.load.wanted--; p.load.wanted == 0 {
			p.load.cancel()
		}
		return
	}
	for i, other := range b.waiting {
		if other == p {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			return
		}
	}
}

// start begins as many requests as may be. The caller holds the lock.
func (b *batches) start() {
	if time.Now().Before(b.alone) {
		for _, p := range b.waiting {
			p.singly = true
			close(p.done)
		}
		b.waiting = nil
		return
	}
	for len(b.waiting) > 0 && b.underWay < batchLanes {
		n, full := b.next()
		if wait := batchPace - time.Since(b.began); wait > 0 && !full {
			if !b.timed {
				b.timed = true
				time.AfterFunc(wait, b.due)
			}
			return
		}
		l := &load{parcels: b.waiting[:n:n], wanted: n}
		b.waiting = append([]*parcel(nil), b.waiting[n:]...)
		for _, p := range l.parcels {
			p.load = l
		}
		var ctx context.Context
		ctx, l.cancel = context.WithCancel(context.Background()) // of all that wait, not of one
		b.underWay, b.began = b.underWay+1, time.Now()
		go b.send(ctx, l)
	}
}

// next is how many of those that wait go with the next request, and whether that is full.
func (b *batches) next() (n int, full bool) {
	bytes := 0
	for _, p := range b.waiting {
		// The head holds the headers, of which a quotation mark takes two bytes, and less than 200 bytes beside them.
		bytes += len(p.Body) + 2*(len(p.Digest)+len(p.Input)+len(p.Signature)+len(p.Hub)) + 200
		if n == MaxCheckIns || n > 0 && bytes > MaxBatch {
			return n, true
		}
		n++
	}
	return n, n == MaxCheckIns
}

// due begins what waited for its time.
func (b *batches) due() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timed = false
	b.start()
}

func (b *batches) send(ctx context.Context, l *load) {
	some := make([]Relayed, len(l.parcels))
	for i, p := range l.parcels {
		some[i] = p.Relayed
	}
	all, singly, err := b.deliver(ctx, some)
	l.cancel()
	for i, p := range l.parcels {
		if p.singly, p.err = singly, err; err == nil && !singly {
			p.said = all[i]
		}
		close(p.done)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.underWay--
	if singly {
		b.alone = time.Now().Add(batchAgain)
	}
	b.start()
}

// relayAll is Relay for several check-ins that fit a batch. With singly the server takes no batch.
func (c *AgentClient) relayAll(ctx context.Context, some []Relayed) (all []Said, singly bool, err error) {
	if len(some) == 1 {
		said, err := c.relayOne(ctx, some[0])
		return []Said{said}, false, err
	}
	var body []byte
	for _, r := range some {
		if body, err = appendCheckIn(body, r); err != nil {
			return nil, false, err
		}
	}
	said, err := c.wire.send(ctx, http.MethodPost, batchPath, body, func(req *http.Request, _ []byte) error {
		req.Header.Set("Content-Type", jsonLines)
		return nil
	}, sentNothing)
	switch {
	case err != nil:
		return nil, false, err
	case ofBatch(said):
		return nil, true, nil
	case said.status != http.StatusOK: // what is said to the hub is said to all it brought
		for range some {
			all = append(all, Said{Status: said.status, Retry: said.header.Get("Retry-After"), Body: said.data})
		}
		return all, false, nil
	}
	all, err = parseAnswers(said.data, len(some))
	return all, false, err
}
