package dashboard

import (
	"context"
	"sync"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
)

// pulse is how the fleet is, which every page says on top. In a large fleet it is not counted anew for each page: it is as good as new for
// a few times what counting takes, at most a second.
type pulse struct {
	mu     sync.Mutex
	status report.Status
	until  time.Time
}

func (p *pulse) of(ctx context.Context, from api.Operators) (report.Status, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Now().Before(p.until) {
		return p.status, nil
	}
	began := time.Now()
	status, err := from.Status(ctx, topProblems)
	if err != nil {
		return status, err
	}
	p.status, p.until = status, time.Now().Add(min(pace, share*time.Since(began)))
	return status, nil
}
