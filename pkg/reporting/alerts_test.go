package reporting

import (
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/alert/deliver"
	"vigo.dev/pkg/report"
)

// A pager is a real receiver of webhooks, with TLS, that checks every signature and remembers what it took.
type pager struct {
	*httptest.Server
	mu      sync.Mutex
	key     ed25519.PublicKey
	taken   []report.Transition // in the order they came
	notices map[string]int      // by ID
	bad     []string
	refuse  func(n int) int // status for the n-th request; 0: take it
	n       int
	ca      string // file that trusts it
	keyFile string // of the service
}

// taken is that a request is taken, and the connection breaks before the answer.
const taken = -1

// hooked gives a rig a receiver "pager" that is told of everything.
func hooked(t *testing.T, change func(*deliver.Config)) (*rig, *pager) {
	t.Helper()
	h := &pager{notices: map[string]int{}, refuse: func(int) int { return 0 }}
	h.Server = httptest.NewTLSServer(http.HandlerFunc(h.take))
	t.Cleanup(h.Close)
	dir := t.TempDir()
	h.keyFile = filepath.Join(dir, "alerts.key")
	ca := filepath.Join(dir, "ca.pem")
	h.ca = ca
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), 0o600))
	conf := deliver.Config{Receivers: map[string]deliver.Receiver{"pager": {Webhook: &deliver.Webhook{URL: h.URL + "/alerts", CA: ca}}}, Default: []string{"pager"}}
	if change != nil {
		change(&conf)
	}
	r := newRig(t)
	must(t, r.DB.Close())
	var err error
	r.tell, err = deliver.New(conf, h.keyFile, "acme", "test")
	must(t, err)
	h.key, err = deliver.ParsePublic(r.tell.Key)
	must(t, err)
	r.start(t)
	return r, h
}

// service is a service of receivers of which this one is all.
func (h *pager) service(t *testing.T) *deliver.Service {
	t.Helper()
	d, err := deliver.New(deliver.Config{Receivers: map[string]deliver.Receiver{"pager": {Webhook: &deliver.Webhook{URL: h.URL, CA: h.ca}}}, Default: []string{"pager"}}, h.keyFile, "acme", "test")
	must(t, err)
	return d
}

func (h *pager) take(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
	status := h.refuse(h.n)
	if status > 0 {
		w.WriteHeader(status)
		return
	}
	if err == nil {
		err = deliver.Verify(h.key, req.Header.Get("Webhook-Id"), req.Header.Get("Webhook-Timestamp"), req.Header.Get("Webhook-Signature"), body, time.Now())
	}
	var n report.Notice
	if err == nil {
		err = json.Unmarshal(body, &n)
	}
	if err != nil {
		h.bad = append(h.bad, err.Error())
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.notices[req.Header.Get("Webhook-Id")]++
	h.taken = append(h.taken, n.Transitions...)
	if status == taken {
		panic(http.ErrAbortHandler)
	}
}

// kinds is what was taken, as kind and group.
func (h *pager) kinds() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := []string{}
	for _, t := range h.taken {
		list = append(list, t.Kind+" "+t.Key)
	}
	return list
}

// alertUntil has time pass, second by second, with what is due each second, and delivers what is to be delivered.
func (r *rig) alertUntil(t *testing.T, then time.Time) {
	t.Helper()
	for r.Now().Before(then) {
		r.pass(time.Second)
		must(t, r.Refresh(t.Context())) // of a database that others may use, too
		r.Tick(t.Context())
		must(t, r.Alert(t.Context()))
		for name := range r.tell.Senders {
			r.tellDue(t.Context(), name, map[string]bool{})
		}
	}
}

// TestStaleNodeIsTold: a node that falls silent is told once, also over a restart of the service, and once that it is back.
func TestStaleNodeIsTold(t *testing.T) {
	t.Parallel()
	r, h := hooked(t, nil)
	r.join(t, "web-1")
	r.checkIn(t, report.CheckIn{Node: "web-1"})
	r.alertUntil(t, noon.Add(2*time.Minute+5*time.Second)) // stale after 90 s, told after 30 s more
	is(t, h.kinds(), "firing node.stale/web-1")
	r.restart(t, time.Second)
	r.alertUntil(t, r.Now().Add(time.Minute))
	is(t, h.kinds(), "firing node.stale/web-1")

	r.checkIn(t, report.CheckIn{Node: "web-1"})
	for range 5 { // it goes on
		r.alertUntil(t, r.Now().Add(20*time.Second))
		r.checkIn(t, report.CheckIn{Node: "web-1"})
	}
	is(t, h.kinds(), "firing node.stale/web-1", "resolved node.stale/web-1")
	if h.taken[0].Alert != h.taken[1].Alert || h.taken[0].ID == h.taken[1].ID || len(h.bad) > 0 {
		t.Errorf("taken %+v, not taken %q", h.taken, h.bad)
	}
}

func is(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("told %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}
