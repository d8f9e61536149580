package reporting

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trait"
)

// TestPresence goes from live to missing by the receipt time and the interval the node was told, and writes each
// transition once, within a second.
func TestPresence(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	if got := r.node(t, "web-1").Presence; got != report.Never {
		t.Errorf("before its first check-in: %s", got)
	}
	r.checkIn(t, report.CheckIn{Node: "web-1"})
	r.Tick(t.Context())
	for _, c := range []struct {
		after time.Duration
		want  report.Presence
	}{{half * 3 / 2, report.Live}, {half*3/2 + 1, report.Late}, {3 * half, report.Late}, {3*half + 1, report.Stale}, {24 * time.Hour, report.Stale}, {24*time.Hour + 1, report.Missing}} {
		r.listenUntil(t, noon.Add(c.after))
		if got := r.node(t, "web-1").Presence; got != c.want {
			t.Errorf("after %s: %s, want %s", c.after, got, c.want)
		}
	}
	r.checkIn(t, report.CheckIn{Node: "web-1"})
	r.Tick(t.Context())
	r.Tick(t.Context())
	if got := r.eventKinds(t, "web-1"); !slices.Equal(got, []string{"node.back", "node.missing", "node.stale", "node.enrolled"}) {
		t.Errorf("what happened: %v", got)
	}
}

// TestAmnesty: what the service did not hear while it was away is nobody's silence, and nobody is called stale before it
// had three intervals to come back; who was stale before stays so.
func TestAmnesty(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, name := range []string{"gone", "late", "back"} {
		r.join(t, name)
	}
	r.checkIn(t, report.CheckIn{Node: "gone"})
	r.pass(2 * half)
	r.checkIn(t, report.CheckIn{Node: "late"})
	r.pass(2 * half) // gone is stale, late is late
	r.checkIn(t, report.CheckIn{Node: "back"})
	presences := func() string {
		return fmt.Sprint(r.node(t, "gone").Presence, " ", r.node(t, "late").Presence, " ", r.node(t, "back").Presence)
	}
	r.restart(t, time.Hour)
	st := r.status(t)
	if want := r.Now().Add(3 * half); !st.Amnesty.Equal(want) {
		t.Errorf("the amnesty is until %s, want %s", st.Amnesty, want)
	}
	if got := presences(); got != "stale late live" {
		t.Errorf("after an hour away: %s", got)
	}
	r.pass(2 * half)
	if got := presences(); got != "stale late late" {
		t.Errorf("two intervals later: %s", got)
	}
	// It goes away again before they could come back: that, too, is nobody's silence.
	r.restart(t, time.Minute)
	r.pass(2 * half)
	if got := presences(); got != "stale late late" {
		t.Errorf("after a second absence: %s", got)
	}
	r.checkIn(t, report.CheckIn{Node: "back"})
	r.pass(half + time.Second)
	if got := presences(); got != "stale stale live" || !r.status(t).Amnesty.IsZero() {
		t.Errorf("after the amnesty: %s", got)
	}
}

// TestPause: a process that was stopped did not listen either.
func TestPause(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	r.checkIn(t, report.CheckIn{Node: "web-1"})
	r.Tick(t.Context())
	r.pass(time.Hour)
	r.Tick(t.Context())
	if got := r.node(t, "web-1").Presence; got == report.Stale {
		t.Errorf("after the service itself stood still for an hour: %s", got)
	}
	for range 10 {
		r.pass(10 * time.Second)
		r.Tick(t.Context())
	}
	if got := r.eventKinds(t, "web-1"); got[0] != "node.stale" {
		t.Errorf("after three intervals of silence: %v", got)
	}
}

// TestFacets: the service asks for what it lacks, and only for that; what two nodes share travels once; what was not
// announced is not kept.
func TestFacets(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	r.join(t, "web-2")
	os, cpu := facet(t, "os", map[string]any{"id": "debian"}), facet(t, "cpu", map[string]any{"cores": 2})
	digests := map[string]string{"os": os.Digest, "cpu": cpu.Digest}
	root := trait.Root(digests)
	if a := r.checkIn(t, report.CheckIn{Node: "web-1", Traits: root}); !a.Names || len(a.Need) != 0 {
		t.Errorf("a root that is not known: %+v", a)
	}
	a := r.checkIn(t, report.CheckIn{Node: "web-1", Traits: root, Facets: digests})
	if slices.Sort(a.Need); a.Names || len(a.Need) != 2 {
		t.Errorf("names that are not known: %+v", a)
	}
	other := facet(t, "os", "never announced")
	must(t, r.PutFacets(t.Context(), "web-1", report.Facets{Facets: []trait.Facet{os, cpu, other}}))
	if docs, err := r.DB.FacetDigests(t.Context()); err != nil || len(docs) != 2 {
		t.Errorf("kept %v: %v", docs, err)
	}
	if a := r.checkIn(t, report.CheckIn{Node: "web-1", Traits: root}); a.Names || len(a.Need) != 0 {
		t.Errorf("all is known: %+v", a)
	}
	if a := r.checkIn(t, report.CheckIn{Node: "web-2", Traits: root, Facets: digests}); len(a.Need) != 0 {
		t.Errorf("another node with the same: %+v", a)
	}
	r.restart(t, 0)
	if a := r.checkIn(t, report.CheckIn{Node: "web-1", Traits: root}); a.Names || len(a.Need) != 0 {
		t.Errorf("after a restart: %+v", a)
	}
	list, err := r.Traits(t.Context(), report.Query{Name: "web-1"}, "")
	if err != nil || len(list) != 1 || fmt.Sprint(list[0].Traits) != "map[cpu:map[cores:2] os:map[id:debian]]" {
		t.Errorf("the traits are %+v: %v", list, err)
	}
	for name, bad := range map[string]map[string]string{"no digest": {"os": "debian"}, "no name": {"": os.Digest}} {
		_, err := r.CheckIn(t.Context(), report.CheckIn{Node: "web-1", Facets: bad})
		refusedAs(t, name, err, api.ErrBadRequest)
	}
	_, err = r.Traits(t.Context(), report.Query{}, "os.id ==")
	refusedAs(t, "a condition that is none", err, api.ErrBadRequest)
}

// TestController is missed when it says nothing, and its pointer when that has expired.
func TestController(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(t, note())
	r.pass(silence)
	if !r.status(t).Healthy() {
		t.Errorf("ten minutes later: %v", r.problemKinds(t))
	}
	r.pass(time.Second)
	if got := r.problemKinds(t); !slices.Equal(got, []string{"silent"}) {
		t.Errorf("and a second: %v", got)
	}
	r.pass(7 * 24 * time.Hour)
	if got := r.problemKinds(t); !slices.Equal(got, []string{"expired", "silent"}) {
		t.Errorf("a week later: %v", got)
	}
	r.restart(t, time.Hour)
	if got := r.problemKinds(t); !slices.Equal(got, []string{"expired"}) {
		t.Errorf("after an absence of the service itself: %v", got)
	}
}

// TestInterval is the configured one, or else that of the policy of the node's channel.
func TestInterval(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	r.Service.Interval = 0
	n := note()
	n.Interval = 90 * time.Second
	if got := r.checkIn(t, report.CheckIn{Node: "web-1"}).Interval; got != defaultInterval {
		t.Errorf("before a policy is known: %s", got)
	}
	r.publish(t, n)
	if a := r.checkIn(t, report.CheckIn{Node: "web-1"}); a.Interval != n.Interval || a.Pointer != n.Pointer || a.Labels["role"] != "web" {
		t.Errorf("then: %+v", a)
	}
	n.Interval = time.Nanosecond
	r.publish(t, n)
	if a := r.checkIn(t, report.CheckIn{Node: "web-1"}); a.Interval != 90*time.Second {
		t.Errorf("an interval that is none was passed on: %s", a.Interval)
	}
}

// TestConcurrent checks nodes in, publishes and asks, all at once; the race detector watches.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 5 {
		r.join(t, fmt.Sprint("web-", i))
	}
	var wg sync.WaitGroup
	for i := range 5 {
		wg.Go(func() {
			name := fmt.Sprint("web-", i)
			for j := range 20 {
				_, err := r.CheckIn(t.Context(), report.CheckIn{Node: name, Bundle: current, Run: report.Summary{ID: fmt.Sprint(j)}})
				err = errors.Join(err, r.PutRuns(t.Context(), name, []report.Run{{ID: fmt.Sprint(j), Node: name, Error: "x"}}))
				channel := note()
				channel.Channel = name
				err = errors.Join(err, r.PutChannels(t.Context(), []report.ChannelNote{channel, note()}))
				_, asked := r.Service.Status(t.Context(), 10)
				if err := errors.Join(err, asked); err != nil {
					t.Error(err)
				}
				r.Tick(t.Context())
			}
		})
	}
	wg.Wait()
}

// TestFigures parses what Prometheus is given, and asks for health and readiness: not ready when the store is gone.
func TestFigures(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.listen(t)
	key, err := identity.NewNodeKey()
	must(t, err)
	agent, _, err := r.agent(t, s.URL, "web-1", key)
	must(t, err)
	_, err = agent.CheckIn(t.Context(), report.CheckIn{Node: "web-1", Bundle: current})
	must(t, err)
	r.publish(t, note())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.ca.Pool(), ServerName: identity.ServerName}}}
	defer client.CloseIdleConnections()
	get := func(path string) (int, io.Reader) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
		must(t, err)
		resp, err := client.Do(req)
		must(t, err)
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		must(t, err)
		return resp.StatusCode, strings.NewReader(string(data))
	}
	_, text := get("/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	must(t, err)
	value := func(name string, labels ...string) float64 {
		for _, m := range families[name].GetMetric() {
			match := true
			for i := 0; i+1 < len(labels); i += 2 {
				found := false
				for _, l := range m.GetLabel() {
					found = found || l.GetName() == labels[i] && l.GetValue() == labels[i+1]
				}
				match = match && found
			}
			if match {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		t.Errorf("%s %v is not there", name, labels)
		return -1
	}
	for _, c := range []struct {
		want   float64
		name   string
		labels []string
	}{
		{1, "vigo_report_checkins_total", nil}, {1, "vigo_report_nodes", []string{"presence", "live"}}, {0, "vigo_report_nodes", []string{"presence", "stale"}},
		{1, "vigo_report_nodes_digest", []string{"digest", "current"}}, {1, "vigo_report_nodes_compliance", []string{"compliance", "never"}},
		{0, "vigo_report_channel_failing", []string{"channel", "stable"}}, {1, "vigo_report_request_seconds", []string{"route", "POST /v1/checkin", "status", "200"}},
		{0, "vigo_report_store_failures_total", nil},
	} {
		if got := value(c.name, c.labels...); got != c.want {
			t.Errorf("%s %v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, _ := get(path); status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
	}
	must(t, r.DB.Close())
	if status, _ := get("/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("ready without a store: %d", status)
	}
	if status, _ := get("/healthz"); status != http.StatusOK {
		t.Errorf("alive without a store: %d", status)
	}
	refusedAs(t, "a run while the store is closed", agent.Put(t.Context(), report.Run{ID: "1", Node: "web-1"}), api.ErrStore)
}

// TestRun marks that the service listens, until the very end.
func TestRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, r.Run(ctx))
	var mark alive
	must(t, r.DB.Note(t.Context(), aliveKey, &mark))
	if !mark.At.Equal(noon) {
		t.Errorf("it listened until %s", mark.At)
	}
}
