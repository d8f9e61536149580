package dashboard

import (
	"errors"
	"net/http"
	"time"

	"vigo.dev/pkg/api"
)

// patience is how long a browser may take to read what it was sent.
const patience = 20 * time.Second

// stream tells a browser what changes, until it goes, its session ends or the service does.
func (d *Dashboard) stream(w http.ResponseWriter, r *http.Request) {
	token, who, err := d.session(r)
	if err != nil {
		status, _ := d.explain(r, err)
		http.Error(w, "no session", status)
		return
	}
	if !allowed(who.Role, readers()) {
		http.Error(w, api.ErrForbidden.Message, http.StatusForbidden)
		return
	}
	s := d.live.join()
	if s == nil {
		w.Header().Set("Retry-After", "60")
		http.Error(w, "too many browsers look at the fleet", http.StatusServiceUnavailable)
		return
	}
	defer d.live.leave(s)
	limits := http.NewResponseController(w)
	if err := limits.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		d.Log.Debug("opening a stream", "err", err)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(data []byte) bool {
		if err := limits.SetWriteDeadline(time.Now().Add(patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return false
		}
		_, err := w.Write(data)
		return err == nil && limits.Flush() == nil
	}
	if !send([]byte("retry: 3000\n\n")) {
		return
	}
	d.feed(r, token, s, send)
}

// feed sends what a subscriber is offered, and signs of life in between.
func (d *Dashboard) feed(r *http.Request, token string, s *subscriber, send func([]byte) bool) {
	alive := time.NewTicker(beat)
	defer alive.Stop()
	for {
		data := []byte(": alive\n\n")
		select {
		case <-r.Context().Done():
			return
		case <-d.live.ended:
			return
		case <-alive.C:
		case <-s.wake:
			var err error
			if data, err = frame(s.take()); err != nil {
				d.Log.Error("telling a browser what has changed", "err", err)
				return
			}
		}
		if _, err := d.Door.Operator(token); err != nil || !send(data) { // a session that was revoked sees nothing more
			return
		}
	}
}
