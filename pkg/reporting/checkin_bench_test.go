package reporting

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/pkg/trait"
)

// BenchmarkCheckIn is what a check-in costs beside its connection: a signed request that a hub hands on, of one of 20,000 nodes that
// say the same as before, until it is on disk. The cost of one verification is a floor for it.
func BenchmarkCheckIn(b *testing.B) {
	const nodes = 20_000
	f := newSayers(b, nodes)
	f.round(b) // says all, which is kept
	f.took = 0
	for b.Loop() {
		f.round(b)
	}
	b.ReportMetric(float64(f.took.Microseconds())/float64(b.N)/nodes, "cpu-µs/checkin")
}

// sayers are nodes with the requests they will make.
type sayers struct {
	handler http.Handler
	service *Service
	hub     *x509.Certificate
	keys    []ed25519.PrivateKey
	order   []int
	numbers int64
	at      time.Time
	took    time.Duration // CPU of the service
}

func newSayers(b *testing.B, n int) *sayers {
	b.Helper()
	check := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	f := &sayers{at: noon, order: rand.New(rand.NewPCG(1, 2)).Perm(n)}
	ca, err := identity.NewCA("acme", noon.AddDate(-1, 0, 0))
	check(err)
	db, err := sqlstore.Open(b.Context(), filepath.Join(b.TempDir(), "report.db"), sqlstore.Options{})
	check(err)
	b.Cleanup(func() { _ = db.Close() })
	f.service, err = New(b.Context(), Config{DB: db, CA: ca, Fleet: "acme", Channel: "stable", Interval: half, TrustRoot: []byte("root"), Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return f.at }})
	check(err)
	key, err := identity.NewNodeKey()
	check(err)
	csr, err := key.CSR("plant")
	check(err)
	token, err := f.service.CreateToken(b.Context(), api.TokenRequest{Uses: 1, Hub: true})
	check(err)
	answer, err := f.service.Enroll(b.Context(), api.EnrollRequest{Token: token.Token, Node: "plant", CSR: string(csr), Hub: true})
	check(err)
	f.hub, err = identity.ParseChain([]byte(answer.Certificate))
	check(err)
	for i := range n {
		var seed [ed25519.SeedSize]byte
		binary.LittleEndian.PutUint64(seed[:], uint64(i))
		key := ed25519.NewKeyFromSeed(seed[:])
		f.keys = append(f.keys, key)
		name := fmt.Sprintf("web-%06d", i)
		f.service.enter(&node{Node: sqlstore.Node{Name: name, Key: key.Public().(ed25519.PublicKey), Channel: "stable", Labels: map[string]string{"role": "web"}}, told: half,
			shown: report.Never, account: account{State: report.ComplianceNever}})
	}
	f.handler = f.service.Handler()
	return f
}

// say makes a request of a node.
func (f *sayers) say(b *testing.B, i int, first bool) *http.Request {
	b.Helper()
	name := fmt.Sprintf("web-%06d", i)
	facets := map[string]string{}
	for t := range 14 {
		facets[fmt.Sprintf("trait-%d", t)] = fmt.Sprintf("sha256:%064x", t*1_000_000+i/50)
	}
	c := report.CheckIn{Node: name, Agent: "1.2.3", Interval: half, Channel: "stable", Pointer: "1.1", Age: time.Minute, Bundle: current, Traits: trait.Root(facets),
		Run: report.Summary{ID: fmt.Sprintf("%012x-%s", f.at.UnixMilli(), name), Started: f.at.UTC(), Took: 8 * time.Millisecond, Counts: report.Counts{OK: 250}}}
	if first {
		c.Facets = facets
	}
	body, err := json.Marshal(c)
	if err != nil {
		b.Fatal(err)
	}
	f.numbers++
	req, err := http.NewRequest(http.MethodPost, "https://vigo/v1/checkin", nil)
	if err != nil {
		b.Fatal(err)
	}
	req.RemoteAddr = "192.0.2.1:1234"
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Vigo-Received", f.at.UTC().Format(time.RFC3339Nano))
	req.Header.Set("Vigo-Hub", "plant")
	if err := identity.Sign(req, body, f.keys[i], identity.Stamp{KeyID: name, Counter: f.numbers, Created: f.at}); err != nil {
		b.Fatal(err)
	}
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	req.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{f.hub}, VerifiedChains: [][]*x509.Certificate{{f.hub}}}
	return req
}

// round has every node check in once, in another order than that of the names.
func (f *sayers) round(b *testing.B) {
	b.StopTimer()
	first := f.numbers == 0
	f.at = f.at.Add(half)
	all := make([]*http.Request, len(f.order))
	for at, i := range f.order {
		all[at] = f.say(b, i, first)
	}
	b.StartTimer()
	began := spent(b)
	for _, req := range all {
		w := &deafWriter{header: http.Header{}}
		if f.handler.ServeHTTP(w, req); w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
	if err := f.service.DB.PutNote(b.Context(), "settled", true); err != nil {
		b.Fatal(err)
	}
	f.took += spent(b) - began
}

type deafWriter struct {
	header http.Header
	status int
}

func (w *deafWriter) Header() http.Header         { return w.header }
func (w *deafWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *deafWriter) WriteHeader(status int)      { w.status = status }

// spent is the CPU time of the process.
func spent(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
