package hub

import (
	"context"
	"errors"
	"slices"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

const (
	reportEvery = 10 * time.Second // until the service says otherwise, and at least that often
	reportTime  = 15 * time.Second // for one report to be answered
	carryTime   = 2 * time.Minute  // for one upload to be delivered, over a thin line
	retryEvery  = 5 * time.Second  // between two attempts to deliver what was not taken
)

// reportLoop says every interval how the hub and its site are; by that it knows whether the uplink works.
func (h *Hub) reportLoop(ctx context.Context) {
	wait := reportEvery
	for {
		next, err := h.report(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			h.lost(err)
		default:
			wait = min(max(next, 100*time.Millisecond), reportEvery)
			h.found()
		}
		if !pause(ctx, wait, h.news) {
			return
		}
	}
}

// report makes one report, and returns when the next is due.
func (h *Hub) report(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	if err := h.cred.Renew(ctx, h.client); err != nil {
		if !h.cred.Usable() {
			return 0, err
		}
		h.Log.Warn("going on with the certificate there is", "err", err)
	}
	for {
		out := report.HubReport{Hub: h.Enrolment.Name, Version: h.Version, Mirrors: h.mirror.Versions(), Trouble: h.mirrorTrouble()}
		out.Seen, out.Nodes = h.nodes.Take(h.Now())
		out.Spooled, _ = h.spool.Len()
		answer, err := h.client.ReportHub(ctx, out)
		h.setTold(err == nil)
		if err != nil {
			h.nodes.Untold(out.Seen)
			return 0, err
		}
		h.nodes.Verbatim(answer.Verbatim)
		if len(out.Seen) < report.MaxSeen {
			return answer.Interval, nil
		}
	}
}

// mirrorTrouble is what the service is told; one look that fails is none yet.
func (h *Hub) mirrorTrouble() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.trouble.times < 2 {
		return ""
	}
	return h.trouble.text
}

func (h *Hub) setTold(told bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = told
}

// lost takes the uplink for down until a report was taken.
func (h *Hub) lost(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down == nil {
		h.Log.Warn("the uplink does not work; the site goes on by itself", "err", err)
	}
	h.down = err
}

// found takes the uplink for up again.
func (h *Hub) found() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down != nil {
		h.Log.Info("the uplink works again")
		nudge(h.drain)
	}
	h.down = nil
}

func (h *Hub) isDown() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down != nil
}

// deliverLoop delivers what is spooled, as soon as there is something.
func (h *Hub) deliverLoop(ctx context.Context) {
	for {
		if err := h.spool.Drain(ctx, h.deliver); err != nil && ctx.Err() == nil {
			h.Log.Error("delivering what is spooled", "err", err)
		}
		var again <-chan time.Time
		if waiting, _ := h.spool.Len(); waiting > 0 {
			again = time.After(retryEvery)
		}
		select {
		case <-ctx.Done():
			return
		case <-again:
		case <-h.drain:
		case <-h.spool.changed:
		}
	}
}

// Refusals that hold for ever: of the upload itself, and, when the hub itself is welcome, of the node.
var (
	ofUpload = []*api.Error{api.ErrTooLarge, api.ErrBadRequest, api.ErrDigest, api.ErrSignature, api.ErrMediaType}
	ofNode   = []*api.Error{api.ErrUnknownNode, api.ErrRetired, api.ErrWrongNode}
)

// deliver hands one upload on. The service keeps the same run only once, so one that was delivered before a crash could be
// noted is delivered again.
func (h *Hub) deliver(ctx context.Context, r api.Relayed) verdict {
	ctx, cancel := context.WithTimeout(ctx, carryTime)
	defer cancel()
	said, err := h.client.Relay(ctx, r)
	if err != nil {
		return away
	}
	err = said.Err()
	is := func(list []*api.Error) bool {
		return slices.ContainsFunc(list, func(e *api.Error) bool { return errors.Is(err, e) })
	}
	h.mu.Lock()
	welcome := h.told
	h.mu.Unlock()
	switch {
	case err == nil:
		h.metrics.delivered.Inc()
		return delivered
	case is(ofUpload), is(ofNode) && welcome, errors.Is(err, api.ErrSkew) && h.Now().Sub(r.Received) > identity.RelayLife:
		h.metrics.refused.Inc()
		h.Log.Warn("an upload is refused for good and put aside", "path", r.Path, "hub", r.Hub, "received", r.Received, "err", err)
		return refused
	case errors.Is(err, api.ErrBusy), errors.Is(err, api.ErrStore), errors.Is(err, api.ErrUnauthorized):
		return away
	}
	h.Log.Debug("an upload is not taken now", "path", r.Path, "err", err)
	return later
}
