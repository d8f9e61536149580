package fleetsim

import (
	"context"
	"time"
)

// An Outage is a time in which the service did not answer as it did before: for a second it answered nobody, or one turn in ten
// was lost. What it is told to nodes meanwhile is in the other figures.
type Outage struct {
	From time.Time `json:"from"` // the second in which it began
	// Normal is the first of two seconds in a row in which as many check-ins were answered as before, and hardly a turn was
	// lost; zero: it did not come to that.
	Normal time.Time `json:"normal,omitzero"`
	Lost   int       `json:"lost"` // turns
}

// pulse is how the service answered in one second.
type pulse struct {
	at         time.Time // its end
	done, lost int
	cut        int // turns that were not taken, by nodes that are cut off
}

// memory is how many seconds before an outage say what is normal.
const memory = 10

// outages finds them, second by second.
type outages struct {
	list  []Outage
	usual []int // answered in the last good seconds
	open  bool
	well  int // seconds in a row that are as before
}

// take looks at one second, in which so many turns were due.
func (o *outages) take(p pulse, due float64) {
	if len(o.usual) == 0 && p.done == 0 { // it has not begun
		return
	}
	if !o.open {
		if len(o.usual) == 0 || p.done > 0 && p.lost*10 <= p.done {
			o.usual = append(o.usual, p.done)
			o.usual = o.usual[max(0, len(o.usual)-memory):]
			return
		}
		o.list = append(o.list, Outage{From: p.at.Add(-time.Second)})
		o.open, o.well = true, 0
	}
	now := &o.list[len(o.list)-1]
	now.Lost += p.lost
	if float64(p.done) < .9*min(o.mean(), due) || p.lost*100 > p.done {
		o.well = 0
		return
	}
	if o.well++; o.well == 2 {
		now.Normal, o.open = p.at.Add(-2*time.Second), false
	}
}

func (o *outages) mean() float64 {
	sum := 0
	for _, n := range o.usual {
		sum += n
	}
	return float64(sum) / float64(len(o.usual))
}

// listen looks for outages until ctx ends.
func (s *Sim) listen(ctx context.Context) []Outage {
	var o outages
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return o.list
		case <-tick.C:
		}
		p := pulse{at: s.Now().UTC()}
		s.tally.with(func(t *tally) {
			p.done, p.lost, p.cut = t.pulse.done, t.pulse.lost, t.pulse.cut
			t.pulse = pulse{}
		})
		o.take(p, float64(len(s.nodes)-int(s.quiet.Load()))/s.Interval.Seconds()-float64(p.cut))
	}
}
