package api

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
)

// asHub gives the rig a hub, and has raw show its certificate.
func (r *rig) asHub(t *testing.T) *AgentClient {
	t.Helper()
	key, err := identity.NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := key.CSR("plant")
	if err != nil {
		t.Fatal(err)
	}
	chain, _, err := r.ca.IssueClient(csr, identity.Client{Role: identity.RoleHub, Name: "plant"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if r.cert, err = key.Certificate(chain); err != nil {
		t.Fatal(err)
	}
	r.keys["plant"] = key.Public()
	return r.client(t, "plant", key, &r.cert)
}

// said is a check-in of a node as its hub received it.
func (r *rig) said(t *testing.T, body string) Relayed {
	t.Helper()
	return RelayedOf(r.signed(t, checkInPath, body), []byte(body), "plant", false, time.Now())
}

// batch is the request with a batch.
func (r *rig) batch(t *testing.T, data []byte) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.server.URL+batchPath, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", jsonLines)
	return req
}

// recorder remembers what the record of refusals and the metrics are told.
type recorder struct {
	Auditor
	mu   sync.Mutex
	said []string
}

func (a *recorder) add(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said = append(a.said, fmt.Sprintf(format, args...))
}

func (a *recorder) Refused(by audit.Caller, route, code, _ string) {
	a.add("refused %s %s at %s: %s", by.Role, by.Name, route, code)
}

// Each check-in of a batch is answered, refused, counted and recorded as one by itself; one that is bad harms no other.
func TestABatchOfCheckIns(t *testing.T) {
	t.Parallel()
	var heard recorder
	r := newRigWith(t, func(b *Backend) {
		b.Auditor = &heard
		b.Observe = func(route string, status int, _ time.Duration) { heard.add("%s %d", route, status) }
	})
	hub := r.asHub(t)
	alter := func(with func(*Relayed)) Relayed {
		out := r.said(t, `{"node":"web-1"}`)
		with(&out)
		return out
	}
	good := r.said(t, `{"node":"web-1","agent":"1","seq":99,"hub":"elsewhere"}`)
	all := []Relayed{
		good, good,
		alter(func(q *Relayed) { q.Body = []byte(`{"node":"web-1","agent":"forged"}`) }),
		alter(func(q *Relayed) { q.Signature = "" }),
		alter(func(q *Relayed) { q.Received = time.Now().Add(-time.Hour) }),
		alter(func(q *Relayed) { q.Hub = "../plant" }),
		r.said(t, `{"node":"web-2"}`),
		r.said(t, `{"node":`),
		r.said(t, `{"node":"web-1","agent":"2"}`),
	}
	answers, singly, err := hub.relayAll(t.Context(), all)
	if err != nil || singly {
		t.Fatalf("%t, %v", singly, err)
	}
	for i, want := range []*Error{nil, ErrReplay, ErrDigest, ErrSignature, ErrSkew, ErrBadRequest, ErrWrongNode, ErrBadRequest, nil} {
		err := answers[i].Err()
		if want != nil {
			refusedAs(t, fmt.Sprint("check-in ", i), err, want)
		} else if err != nil || !strings.Contains(string(answers[i].Body), `"interval":60000000000`) {
			t.Errorf("check-in %d: %s, %v", i, answers[i].Body, err)
		}
	}
	if len(r.checked) != 2 || r.checked[0].Agent != "1" || r.checked[0].Hub != "plant" || r.checked[0].Seq == 99 || r.checked[1].Agent != "2" || r.checked[1].Seq <= r.checked[0].Seq {
		t.Errorf("taken: %+v", r.checked)
	}
	heard.mu.Lock()
	defer heard.mu.Unlock()
	slices.Sort(heard.said)
	want := []string{"POST /v1/checkin 200", "POST /v1/checkin 200", "POST /v1/checkin 400", "POST /v1/checkin 400", "POST /v1/checkin 400", "POST /v1/checkin 401", "POST /v1/checkin 401",
		"POST /v1/checkin 403", "POST /v1/checkin 409", "POST /v1/checkins 200", "refused hub plant at POST /v1/checkin: content-digest", "refused hub plant at POST /v1/checkin: signature",
		"refused node web-1 at POST /v1/checkin: clock", "refused node web-1 at POST /v1/checkin: replay", "refused node web-1 at POST /v1/checkin: wrong-node"}
	if !slices.Equal(heard.said, want) {
		t.Errorf("recorded:\n%s\nwant\n%s", strings.Join(heard.said, "\n"), strings.Join(want, "\n"))
	}
}

// counted lets so many requests of each kind and sender pass.
type counted struct {
	*backend
	limit int
	mu    sync.Mutex
	of    map[string]int
}

func (c *counted) Admit(what, sender string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[what+" "+sender] == c.limit {
		return ErrTooMany
	}
	c.of[what+" "+sender]++
	return nil
}

// A batch counts as the requests it has, of the hub and of each node; one that is none counts as one.
func TestABatchIsCounted(t *testing.T) {
	t.Parallel()
	gate := &counted{limit: 3, of: map[string]int{}}
	r := newRigWith(t, func(b *Backend) { gate.backend, b.Gate = b.Gate.(*backend), gate })
	hub := r.asHub(t)
	if _, said := r.raw(t, r.batch(t, []byte("{}\n"))); said == nil || said.Code != ErrBadRequest.Code {
		t.Errorf("no batch: %+v", said)
	}
	one := func() Relayed { return r.said(t, `{"node":"web-1"}`) }
	answers, _, err := hub.relayAll(t.Context(), []Relayed{one(), one(), one(), one()})
	if err != nil || answers[0].Err() != nil || answers[1].Err() != nil || !errors.Is(answers[2].Err(), ErrTooMany) || answers[3].Retry != "30" {
		t.Errorf("after that, of three that may come: %+v, %v", answers, err)
	}
	if answers, _, err = hub.relayAll(t.Context(), []Relayed{one(), one()}); err != nil || !errors.Is(answers[0].Err(), ErrTooMany) || answers[1].Retry != "30" {
		t.Errorf("when none may come: %+v, %v", answers, err)
	}
	if gate.of["relay plant"] != 3 || gate.of["checkin web-1"] != 2 || len(r.checked) != 2 {
		t.Errorf("counted: %v, with %d taken", gate.of, len(r.checked))
	}
}

// A batch is for a hub to bring, within its limits, and what is wrong with it as a whole takes nothing of it.
func TestWhoMayBringABatch(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		hub  bool
		with func(*http.Request)
		body string // in place of one check-in
		want *Error
	}{
		"a hub":          {hub: true},
		"a node":         {want: ErrWrongNode},
		"another type":   {hub: true, with: func(q *http.Request) { q.Header.Set("Content-Type", jsonType) }, want: ErrMediaType},
		"no batch":       {hub: true, body: "{}\n", want: ErrBadRequest},
		"too many bytes": {hub: true, body: strings.Repeat("x", MaxBatch+1), want: ErrTooLarge},
	} {
		r := newRig(t)
		data := batchOf(t, r.said(t, `{"node":"web-1"}`))
		if c.body != "" {
			data = []byte(c.body)
		}
		if c.hub {
			r.asHub(t)
		}
		req := r.batch(t, data)
		if c.with != nil {
			c.with(req)
		}
		if c.want == nil {
			c.want = &Error{}
		}
		_, said := r.raw(t, req)
		if said == nil {
			said = &Error{}
		}
		if said.Code != c.want.Code || (said.Code == "") != (len(r.checked) == 1) {
			t.Errorf("%s: %+v, with %d taken", what, said, len(r.checked))
		}
	}
	r := newRig(t)
	if _, _, err := r.client(t, node, r.key, nil).relayAll(t.Context(), []Relayed{{}, {}}); err != nil {
		t.Error(err)
	}
	if len(r.checked) > 0 {
		t.Error("somebody without a certificate brought a batch")
	}
}

// A service that knows no batches is given the check-ins one by one.
func TestAnOlderServiceTakesThemOneByOne(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hub := r.asHub(t)
	newer := r.server.Config.Handler
	var offered recorder
	r.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		offered.add("%s", req.URL.Path)
		if req.URL.Path == batchPath {
			req.URL.Path = "/v1/nonsense"
		}
		newer.ServeHTTP(w, req)
	})
	var all sync.WaitGroup
	for i := range 12 {
		one := r.said(t, fmt.Sprintf(`{"node":"web-1","spooled":%d}`, i))
		all.Go(func() {
			if said, err := hub.Relay(t.Context(), one); err != nil || said.Err() != nil {
				t.Errorf("check-in %d: %v, %v", i, said.Err(), err)
			}
		})
	}
	all.Wait()
	if n := len(r.checked); n != 12 {
		t.Errorf("%d check-ins were taken", n)
	}
	if n := len(slices.DeleteFunc(offered.said, func(path string) bool { return path != batchPath })); n == 0 || n > batchLanes {
		t.Errorf("a batch was offered %d times", n)
	}
}

// A hub takes the batch of one behind it, and what each node is told comes back.
func TestAHubPassesABatchOn(t *testing.T) {
	t.Parallel()
	r, hub := newHubRig(t)
	r.keys = map[string]ed25519.PublicKey{}
	inner := r.asHub(t)
	batch := []Relayed{r.said(t, `{"node":"web-1"}`), r.said(t, `{"node":"web-1","agent":"2"}`), r.said(t, `{"node":"web-1","agent":"3"}`)}
	batch[0].Hub, batch[1].Hub = "hall", "../"
	hub.said = Said{Status: 429, Retry: "7", Body: []byte(`{"error":{"code":"too-many","message":"slowly"}}`)}
	answers, singly, err := inner.relayAll(t.Context(), batch)
	if err != nil || singly {
		t.Fatalf("%t, %v", singly, err)
	}
	for i, said := range answers {
		if refusedAs(t, fmt.Sprint("check-in ", i), said.Err(), ErrTooMany); said.Retry != "7" {
			t.Errorf("check-in %d: when to come back is %q", i, said.Retry)
		}
	}
	slices.Sort(hub.took)
	hub.wantTook(t, "the batch", "pass /v1/checkin of hall", "pass /v1/checkin of plant", "pass /v1/checkin of plant")
	hub.admit = ErrTooMany
	if answers, _, err = inner.relayAll(t.Context(), batch); err != nil || answers[2].Status != http.StatusTooManyRequests {
		t.Errorf("too often: %+v, %v", answers, err)
	}
	hub.wantTook(t, "what is refused")
	if answers, _, err = r.client(t, node, r.key, nil).relayAll(t.Context(), batch); err != nil || answers[0].Status != http.StatusUnauthorized {
		t.Errorf("without a certificate: %+v, %v", answers, err)
	}
}

// FuzzBatchRequest throws batches of a hub at the server: it never panics, answers every one with a document or a line for each
// check-in, and takes nothing, since nobody has signed anything.
func FuzzBatchRequest(f *testing.F) {
	ca, err := identity.NewCA("acme", time.Now())
	if err != nil {
		f.Fatal(err)
	}
	key, err := identity.NewNodeKey()
	if err != nil {
		f.Fatal(err)
	}
	csr, err := key.CSR("plant")
	if err != nil {
		f.Fatal(err)
	}
	chain, _, err := ca.IssueClient(csr, identity.Client{Role: identity.RoleHub, Name: "plant"}, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	cert, err := key.Certificate(chain)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(batchOf(f, checkInAt("plant", `{"node":"web-1"}`), checkInAt("", "")))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		b := &backend{keys: map[string]ed25519.PublicKey{"plant": key.Public(), node: key.Public()}, now: time.Now}
		h := NewServer(Backend{Agents: b, Gate: b, Fleet: "acme", Log: quiet(), Now: time.Now, Observe: func(string, int, time.Duration) {}})
		req := httptest.NewRequest(http.MethodPost, "https://127.0.0.1"+batchPath, bytes.NewReader(body))
		req.TLS = &tls.ConnectionState{PeerCertificates: certificates(cert), VerifiedChains: verified(cert)}
		req.Header.Set("Content-Type", jsonLines)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		all, err := parseBatch(body)
		answers, wrong := parseAnswers(w.Body.Bytes(), len(all))
		switch {
		case w.Code >= 500 || len(b.checked) > 0:
			t.Errorf("%q: %d %s, %d taken", body, w.Code, w.Body, len(b.checked))
		case err == nil && (w.Code != http.StatusOK || wrong != nil || answers[0].Err() == nil):
			t.Errorf("%q: %d %s: %v", body, w.Code, w.Body, wrong)
		case err != nil && !json.Valid(w.Body.Bytes()):
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}
