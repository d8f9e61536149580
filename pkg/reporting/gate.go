package reporting

import (
	"sync"
	"time"

	"vigo.dev/pkg/api"
)

// perMinute is how many requests of a kind one sender may make in a minute: far more than a node does at 15 s, and
// little enough that one that loops does not take the service from the others.
func perMinute(what string) int {
	switch what {
	case "enroll":
		return 120
	case "upload":
		return 600
	case "person": // with a good token: a program that retires a fleet
		return 6000
	case "relay": // a whole site, when its uplink comes back
		return 60_000
	}
	return 240
}

// maxSenders bounds the senders that are counted at once.
const maxSenders = 200_000

// limits counts requests by kind and sender in the running minute.
type limits struct {
	mu     sync.Mutex
	minute time.Time
	counts map[sender]int
}

// sender is who sends requests of a kind.
type sender struct{ what, name string }

// Admit implements api.Gate.
func (s *Service) Admit(what, name string) error {
	now := s.Now()
	l := &s.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if minute := now.Truncate(time.Minute); !minute.Equal(l.minute) || l.counts == nil {
		if l.minute = minute; l.counts == nil {
			l.counts = map[sender]int{}
		}
		clear(l.counts)
	}
	key := sender{what, name}
	n, counted := l.counts[key]
	if n >= perMinute(what) || !counted && len(l.counts) >= maxSenders {
		return api.Refuse(api.ErrTooMany, "more than %d requests in a minute", perMinute(what))
	}
	l.counts[key] = n + 1
	return nil
}
