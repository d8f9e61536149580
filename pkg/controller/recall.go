package controller

import (
	"fmt"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
)

// A Mark is where a channel stood when somebody was told of it: no number up to that may be used again.
type Mark struct {
	Epoch  int64     `json:"epoch"`
	Seq    int64     `json:"seq"`
	Issued time.Time `json:"issued"`
}

// remember takes up, once, where the channels stood as others know it: a state without channels is that of a controller that is
// new, or of one that has lost it. It is written down at once, since what others know changes with what this controller tells them.
func (s *state) remember(marks map[string]Mark) bool {
	if len(s.Channels) > 0 || len(s.Marks) > 0 || len(marks) == 0 {
		return false
	}
	s.Marks = marks
	return true
}

// beyond is the number for the first pointer of a channel that neither the state nor the registry knows. Nodes may have seen
// numbers after the mark. How many is known to nobody, so for each second since then one is left out.
func (c *Controller) beyond(name string, now time.Time) (epoch, seq int64, err error) {
	epoch, seq = c.cfg.Keys.Epoch(), 1
	m, ok := c.state.Marks[name]
	switch {
	case !ok || m.Epoch < epoch: // the first pointer of an epoch is the first whatever was before
		return epoch, seq, nil
	case m.Epoch > epoch:
		return 0, 0, failed(FailedTrust, fault.WithHint(
			fmt.Errorf("the channel was published under root %d, and the keys are those of root %d", m.Epoch, epoch),
			"put back the newest backup of the folder keys: nodes do not go back to an older root"))
	}
	seq = m.Seq + 1 + max(0, int64(now.Sub(m.Issued)/time.Second))
	if seq <= m.Seq {
		return 0, 0, failed(FailedTrust, fmt.Errorf("there is no number after %s", bundle.Pointer{Epoch: m.Epoch, Seq: m.Seq}.Version()))
	}
	c.cfg.Log.Warn("neither the state nor the registry knows the channel, and nodes do: going on with a number that none of them can have seen",
		"channel", name, "known", bundle.Pointer{Epoch: m.Epoch, Seq: m.Seq}.Version(), "pointer", bundle.Pointer{Epoch: epoch, Seq: seq}.Version())
	return epoch, seq, nil
}
