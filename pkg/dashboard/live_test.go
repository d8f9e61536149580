package dashboard

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// listen opens the stream, and returns what comes and a way to go.
func (r *rig) listen(t *testing.T) (<-chan message, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL+"/ui/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.browser.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("the stream: %+v, %v", resp, err)
	}
	got := make(chan message, 10)
	go func() {
		defer close(got)
		defer resp.Body.Close()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var m message
				if err := json.Unmarshal([]byte(data), &m); err != nil {
					t.Errorf("reading %q: %v", data, err)
				}
				got <- m
			}
		}
	}()
	return got, cancel
}

// TestStreamTellsWhatChanges has a node turn stale while two browsers look: both are told the counters and that row.
func TestStreamTellsWhatChanges(t *testing.T) {
	t.Parallel()
	w := newWorld("<u>")
	r := newRig(t, w)
	r.login(t, identity.RoleViewer)
	one, goOne := r.listen(t)
	defer goOne()
	two, goTwo := r.listen(t)
	defer goTwo()
	if m := <-one; !strings.Contains(m.Parts["pulse"], "1/4 live") || len(m.Rows) != 0 {
		t.Errorf("at first: %+v", m)
	}
	<-two
	w.mu.Lock()
	w.nodes[0].Presence = report.Stale
	w.mu.Unlock()
	for _, got := range []<-chan message{one, two} {
		for m := range got {
			if len(m.Rows) == 0 {
				continue
			}
			row := m.Rows["live<u>"]
			if len(m.Rows) != 1 || !strings.Contains(row.HTML, "stale") || strings.Contains(row.HTML, "<u>") || row.Said != "live<u> is stale, ok" || !strings.Contains(m.Parts["pulse"], "0/4 live") {
				t.Errorf("told: %+v", m)
			}
			break
		}
	}
}

// TestChanged are the nodes that look otherwise than at the last look; when some are gone pages ask for what is left.
func TestChanged(t *testing.T) {
	t.Parallel()
	w := newWorld("text")
	d, err := New(Config{Operators: w, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	look := func(when, want string, more bool) {
		t.Helper()
		m := message{Rows: map[string]row{}}
		if err := d.live.changed(&m, w.nodes, noon); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(slices.Sorted(maps.Keys(m.Rows)), " "); got != want || m.More != more {
			t.Errorf("%s: %q, more: %v", when, got, m.More)
		}
	}
	look("at first", "", false)
	w.nodes[0].Seen = noon
	look("seen again", "", false)
	w.nodes[0].Digest = report.DigestCurrent
	w.nodes[1].Reason = "another one"
	look("two differ", "latetext livetext", false)
	w.nodes = append(w.nodes, report.NodeStatus{Name: "new"})
	look("one is new", "new", false)
	w.nodes = w.nodes[1:]
	look("one is gone", "", true)
	look("and then", "", false)
}

// TestStreamEndsWithTheSession when that is revoked.
func TestStreamEndsWithTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld("text")
	r := newRig(t, w)
	r.login(t, identity.RoleViewer)
	got, leave := r.listen(t)
	defer leave()
	<-got
	if err := w.RevokeAccess(t.Context(), "session of viewer"); err != nil {
		t.Fatal(err)
	}
	for range got { // until it ends
	}
	if resp, _ := r.get(t, "/ui/live"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the next one: %s", resp.Status)
	}
}

// TestSlowBrowsers cost a bounded amount: what they have not read is put together, and beyond a limit it is only said that
// more has changed.
func TestSlowBrowsers(t *testing.T) {
	t.Parallel()
	s := &subscriber{wake: make(chan struct{}, 1)}
	s.offer(message{Parts: map[string]string{"pulse": "old"}, Rows: map[string]row{"a": {HTML: "old"}}})
	s.offer(message{Parts: map[string]string{"pulse": "new"}, Rows: map[string]row{"a": {HTML: "new"}, "b": {}}})
	if m := s.take(); m.Parts["pulse"] != "new" || m.Rows["a"].HTML != "new" || len(m.Rows) != 2 || m.More {
		t.Errorf("put together: %+v", m)
	}
	if m := s.take(); len(m.Parts)+len(m.Rows) != 0 {
		t.Errorf("taken twice: %+v", m)
	}
	for i := range 3 * maxRows {
		s.offer(message{Rows: map[string]row{fmt.Sprint(i): {}}})
	}
	if m := s.take(); len(m.Rows) > maxRows || !m.More {
		t.Errorf("%d rows wait, more: %v", len(m.Rows), m.More)
	}
}

// TestTooManyBrowsers are told to come later, and one that leaves makes room.
func TestTooManyBrowsers(t *testing.T) {
	t.Parallel()
	l := newLive(nil)
	var last *subscriber
	for range maxStreams {
		if last = l.join(); last == nil {
			t.Fatal("refused too early")
		}
	}
	if l.join() != nil {
		t.Error("one more than the limit was taken")
	}
	l.leave(last)
	if l.join() == nil {
		t.Error("nobody is taken after one has left")
	}
}

// TestStreamTellsThatARolloutMoves, once for each time that it does.
func TestStreamTellsThatARolloutMoves(t *testing.T) {
	t.Parallel()
	w := newWorld("text")
	r := newRig(t, w)
	r.login(t, identity.RoleViewer)
	told, leave := r.listen(t)
	defer leave()
	if m := <-told; m.Rollouts {
		t.Errorf("at first: %+v", m)
	}
	w.mu.Lock()
	w.rolling = "early soaking, 3 of 4 healthy"
	w.mu.Unlock()
	moves := 0
	for range 3 {
		if m := <-told; m.Rollouts {
			moves++
		}
	}
	if moves != 1 {
		t.Errorf("it was told %d times", moves)
	}
}
