package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trust"
	"vigo.dev/test/programs"
)

// The crowd, and what it may cost.
const (
	crowdSize     = 1000
	crowdInterval = 15 * time.Second // a busy one; 30 s is usual
	centreMost    = 5.0              // requests a second at the centre when nothing changes
	memoryMost    = 150 << 20        // of the hub
)

// calm is how long is measured that nothing changes; VIGO_HUB_CALM says longer, to see nodes be handed on in turn.
func calm(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("VIGO_HUB_CALM")
	if text == "" {
		return 20 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestACrowdBehindOneHub has a thousand nodes, each with connections of its own, behind a hub that is a process, and counts
// what reaches the centre. It runs alone: others would be measured too.
func TestACrowdBehindOneHub(t *testing.T) {
	c := newCentral(t)
	first := c.publish(1)
	nodes := c.enrolMany(crowdSize)
	hub, address := c.startHub()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	crowd := &crowd{t: t, c: c, hub: address}
	for i := range nodes {
		all.Go(func() { crowd.live(ctx, &nodes[i]) })
	}
	programs.AwaitNil(t, "every node with the first pointer", patience, func() error { return crowd.have(first, crowdSize) })
	programs.AwaitNil(t, "the centre to know of all", patience, func() error {
		st, err := c.service.Status(t.Context(), 1)
		if err == nil && (st.Presences.Live != crowdSize || st.Channels[0].Cur != crowdSize) {
			err = fmt.Errorf("%+v, %d current", st.Presences, st.Channels[0].Cur)
		}
		return err
	})

	before, answered, began := c.requests.Load(), crowd.answered.Load(), time.Now()
	time.Sleep(calm(t)) // this is what is measured
	took := time.Since(began).Seconds()
	rate := float64(c.requests.Load()-before) / took
	t.Logf("nothing changes for %.0f s: the hub answers %.0f check-ins a second, the centre %.2f requests a second (of all kinds); %d rounds of nodes got no answer",
		took, float64(crowd.answered.Load()-answered)/took, rate, crowd.missed.Load())
	if rate > centreMost {
		t.Errorf("the centre has %.2f requests a second, want at most %.0f", rate, centreMost)
	}
	if st, err := c.service.Status(t.Context(), 1); err != nil || st.Presences.Live+st.Presences.Late != crowdSize {
		t.Errorf("by the word of the hub these are there: %+v, %v", st.Presences, err)
	} else {
		t.Logf("by the word of the hub: %d live, %d late", st.Presences.Live, st.Presences.Late)
	}

	began, before = time.Now(), c.requests.Load()
	second := c.publish(2)
	programs.AwaitNil(t, "every node with the second pointer", patience, func() error { return crowd.have(second, crowdSize) })
	slowest, median := crowd.since(began)
	t.Logf("a pointer published at the centre was on half of the nodes after %.1f s, on all after %.1f s; interval %s", median.Seconds(),
		slowest.Seconds(), crowdInterval)
	if most := crowdInterval + 3*time.Second; slowest > most { // three seconds for a machine that is busy with other things
		t.Errorf("it took %s, want at most %s", slowest, most)
	}
	programs.AwaitNil(t, "the centre to know that", patience, func() error {
		st, err := c.service.Status(t.Context(), 1)
		if err == nil && st.Channels[0].Cur != crowdSize {
			err = fmt.Errorf("%d current", st.Channels[0].Cur)
		}
		return err
	})
	t.Logf("%d nodes told the centre in %d requests (of all kinds)", crowdSize, c.requests.Load()-before)
	if c.batches.Load() == 0 {
		t.Error("no check-ins have gone together")
	}
	said := c.metrics(address)
	for _, name := range []string{"vigo_hub_uplink_up 1", `vigo_registry_requests_total{method="GET",outcome="ok"}`, "vigo_registry_used_bytes"} {
		if !strings.Contains(said, "\n"+name) {
			t.Errorf("the metrics of the hub lack %s", name)
		}
	}
	rss, peak := memory(t, hub)
	t.Logf("memory of the hub: %.1f MB, at most %.1f MB", float64(rss)/(1<<20), float64(peak)/(1<<20))
	if peak > memoryMost {
		t.Errorf("the hub took %d bytes, want at most %d", peak, memoryMost)
	}
}

// simulated is a node that looks at its channel and checks in, as an agent does, and converges nothing.
type simulated struct {
	name string
	cred identity.Credentials
	cert tls.Certificate
	next atomic.Int64
}

// Next implements api.Counter.
func (s *simulated) Next() (int64, error) { return s.next.Add(1), nil }

type crowd struct {
	t        *testing.T
	c        *central
	hub      string
	answered atomic.Int64 // check-ins
	missed   atomic.Int64 // rounds that got no answer

	mu  sync.Mutex
	got map[string]map[string]time.Time // digest, node: since when
}

// live is what a node does all its life, beginning somewhere in the first interval.
func (c *crowd) live(ctx context.Context, s *simulated) {
	s.next.Store(time.Now().UnixMilli())
	client, err := api.NewAgentClient(api.AgentOptions{URL: "https://" + c.hub, Node: s.name, Roots: s.cred.Roots, Key: s.cred.Key, Counter: s, Now: time.Now,
		Certificate: func() (*tls.Certificate, error) { return &s.cert, nil }})
	if err != nil {
		c.t.Error(err)
		return
	}
	defer client.Close()
	sources, err := ocistore.OpenFleet(ctx, []string{"https://" + c.hub + "/vigo/bundles"}, &s.cred, ocistore.Access{}, time.Now)
	if err != nil {
		c.t.Error(err)
		return
	}
	verifier := trust.NewVerifier(c.c.root, time.Now)
	var shown, carrier string
	wait := rand.N(crowdInterval)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = crowdInterval*8/10 + rand.N(crowdInterval/10) // as an agent does
		there, err := sources[0].Resolve(ctx, "channel-stable")
		if err == nil && there.Digest != carrier {
			var p bundle.Pointer
			if p, _, err = verifier.Pointer(ctx, sources[0], "acme", "stable"); err == nil {
				shown, carrier = p.Stable.Digest, there.Digest
				c.see(shown, s.name)
			}
		}
		if err == nil {
			_, err = client.CheckIn(ctx, report.CheckIn{Node: s.name, Agent: "test", Interval: crowdInterval, Channel: "stable", Pointer: "1.1", Bundle: shown,
				Run: report.Summary{ID: fmt.Sprint(s.name, "-", s.next.Load()), Started: time.Now(), Counts: report.Counts{OK: 250}}})
		}
		switch {
		case err == nil:
			c.answered.Add(1)
		case errors.Is(err, api.ErrUnreachable), errors.Is(err, bundle.ErrNotFound), isTimeout(err):
			c.missed.Add(1) // a busy machine does that now and then; an agent comes back, too
		case ctx.Err() == nil:
			c.t.Errorf("%s: %v", s.name, err)
			return
		}
	}
}

// isTimeout is whether nobody answered in time.
func isTimeout(err error) bool {
	var slow net.Error
	return errors.As(err, &slow) && slow.Timeout()
}

func (c *crowd) see(digest, node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.got == nil {
		c.got = map[string]map[string]time.Time{}
	}
	if c.got[digest] == nil {
		c.got[digest] = map[string]time.Time{}
	}
	c.got[digest][node] = time.Now()
}

func (c *crowd) have(digest string, n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have := len(c.got[digest]); have < n {
		return fmt.Errorf("%d have it", have)
	}
	return nil
}

// since is when the last node, and half of them, had seen what was published at a time.
func (c *crowd) since(began time.Time) (slowest, median time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []time.Duration
	for _, nodes := range c.got {
		for _, at := range nodes {
			if at.After(began) {
				all = append(all, at.Sub(began))
			}
		}
	}
	slices.Sort(all)
	return all[len(all)-1], all[len(all)/2]
}

var kilobytes = regexp.MustCompile(`(?m)^(VmRSS|VmHWM):\s+(\d+) kB$`)

// memory is what a process has in memory now, and had at most, in bytes.
func memory(t *testing.T, p *programs.Process) (rss, peak int64) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range kilobytes.FindAllStringSubmatch(string(data), -1) {
		n, err := strconv.ParseInt(m[2], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if m[1] == "VmRSS" {
			rss = n << 10
		} else {
			peak = n << 10
		}
	}
	if rss == 0 || peak == 0 {
		t.Fatalf("the memory of the hub is not known: %q", data)
	}
	return rss, peak
}
