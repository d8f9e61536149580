package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
)

var _ api.Relay = (*Hub)(nil)

// passTime is how long a node waits for the service behind the hub: less than it has patience for.
const passTime = 8 * time.Second

// Pass implements api.Relay. While the uplink does not work, only enrolment and renewal are tried: for everything else who
// asks knows what to do without an answer.
func (h *Hub) Pass(ctx context.Context, r api.Relayed) (api.Said, error) {
	if (r.Path == "/v1/checkin" || r.Path == "/v1/hub" || r.Path == "/v1/reboot") && h.isDown() {
		return api.Said{}, api.Refuse(api.ErrBusy, "the uplink of hub %s does not work", h.Enrolment.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, passTime)
	defer cancel()
	said, err := h.client.Relay(ctx, r)
	if err != nil {
		return api.Said{}, api.Refuse(api.ErrBusy, "hub %s: %s", h.Enrolment.Name, err)
	}
	return said, nil
}

// Enroll implements api.Relay: who enrols here is told to pull from here first, and to ask here first.
func (h *Hub) Enroll(ctx context.Context, r api.Relayed) (api.Said, error) {
	said, err := h.Pass(ctx, r)
	if err != nil || said.Err() != nil {
		return said, err
	}
	var answer map[string]json.RawMessage // what this hub does not know of stays in it
	if err := json.Unmarshal(said.Body, &answer); err != nil {
		return api.Said{}, api.Refuse(api.ErrBusy, "hub %s: the answer of the service cannot be understood", h.Enrolment.Name)
	}
	registries, servers := []string{"/" + Repository}, []string{}
	if !h.SiteOnly {
		var behind struct{ Registry, Servers []string }
		if err := json.Unmarshal(said.Body, &behind); err != nil {
			return api.Said{}, api.Refuse(api.ErrBusy, "hub %s: the answer of the service cannot be understood", h.Enrolment.Name)
		}
		origin := strings.TrimSuffix(h.client.Addresses()[0], "/")
		for _, ref := range behind.Registry {
			if strings.HasPrefix(ref, "/") {
				ref = origin + ref
			}
			registries = append(registries, ref)
		}
		servers = append(append(servers, origin), behind.Servers...)
	}
	for name, list := range map[string][]string{"registry": registries, "servers": servers} {
		if answer[name], err = json.Marshal(list); err != nil {
			return api.Said{}, fmt.Errorf("answering who enrols: %w", err)
		}
	}
	if said.Body, err = json.Marshal(answer); err != nil {
		return api.Said{}, fmt.Errorf("answering who enrols: %w", err)
	}
	return said, nil
}

// CheckIn implements api.Relay: what is new is handed on as it is, with the signature of the node; the rest is answered here
// and told with the next report. So is everything while the uplink does not work.
func (h *Hub) CheckIn(ctx context.Context, c report.CheckIn, r api.Relayed) (api.Said, error) {
	now := h.Now()
	known, interval := h.nodes.Known(c, now)
	if known {
		h.metrics.spokenFor.Inc()
		return h.answer(c, interval)
	}
	if h.isDown() {
		h.metrics.alone.Inc()
		return h.answer(c, interval)
	}
	said, err := h.Pass(ctx, r)
	if err == nil {
		err = said.Err()
	}
	var answer report.Answer
	switch {
	case err == nil:
		if err := json.Unmarshal(said.Body, &answer); err != nil {
			return api.Said{}, api.Refuse(api.ErrBusy, "hub %s: the answer of the service cannot be understood", h.Enrolment.Name)
		}
		h.metrics.passed.Inc()
		h.nodes.Passed(c, answer, now)
	case errors.Is(err, api.ErrBusy), errors.Is(err, api.ErrStore), errors.Is(err, api.ErrTooMany), errors.Is(err, api.ErrInternal):
		if said.Status == 0 && ctx.Err() == nil { // and the node has not gone meanwhile
			h.lost(err)
		}
		h.nodes.Doubt(c.Node)
		h.metrics.alone.Inc()
		return h.answer(c, interval)
	default:
		h.nodes.Forget(c.Node)
	}
	return said, nil
}

// answer is what a node is told when nobody is asked: nothing new but what the site is shown.
func (h *Hub) answer(c report.CheckIn, interval time.Duration) (api.Said, error) {
	body, err := json.Marshal(report.Answer{Interval: interval, Pointer: h.mirror.Versions()[c.Channel]})
	if err != nil {
		return api.Said{}, fmt.Errorf("answering %s: %w", c.Node, err)
	}
	return api.Said{Status: http.StatusOK, Body: body}, nil
}

// Keep implements api.Relay.
func (h *Hub) Keep(from string, many bool, r api.Relayed) error {
	if err := h.spool.Put(from, many, r); err != nil {
		return err
	}
	h.metrics.kept.Inc()
	return nil
}

// perMinute is how many requests of a kind one sender may make in a minute, as at the service itself.
var perMinute = map[string]int{"enroll": 120, "checkin": 240, "upload": 600, "relay": 60_000}

// maxSenders bounds the senders that are counted at once.
const maxSenders = 50_000

// limits counts requests by kind and sender in the running minute.
type limits struct {
	mu     sync.Mutex
	minute time.Time
	counts map[[2]string]int
}

// Admit implements api.Relay.
func (h *Hub) Admit(what, sender string) error {
	minute := h.Now().Truncate(time.Minute)
	l := &h.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if !minute.Equal(l.minute) || l.counts == nil {
		l.minute, l.counts = minute, map[[2]string]int{}
	}
	key := [2]string{what, sender}
	n, counted := l.counts[key]
	if n >= perMinute[what] || !counted && len(l.counts) >= maxSenders {
		return api.Refuse(api.ErrTooMany, "more than %d requests in a minute", perMinute[what])
	}
	l.counts[key] = n + 1
	return nil
}
