package replicas

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"vigo.dev/test/programs"
)

// TestKillDatabase kills the database below two services, as often as it takes them a while to be without it: nobody who goes on
// is called silent meanwhile or when it is back, though neither service knows what the other hears; and what was acknowledged
// is there.
func TestKillDatabase(t *testing.T) {
	t.Parallel()
	s, random := newSite(t), programs.Chance(t)
	token := s.vigo("token", "create", "--uses", "100")
	nodes := make([]*node, 10)
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	defer working.Wait()
	defer stop()
	for i := range nodes {
		nodes[i] = join(t, s.url(), token, fmt.Sprint("web-", i))
		working.Go(func() { nodes[i].work(ctx) })
	}
	watch := &watcher{client: s.operator(1)}
	working.Go(func() { watch.work(ctx) })
	programs.Await(t, "all nodes live", programs.Patience, func() bool { return watch.live() == len(nodes) })
	for round := range min(programs.Rounds(t), 10) {
		must(t, s.server.Kill())
		pass(random, 6*time.Second)
		must(t, s.server.Start(t.Context()))
		acked := nodes[0].acknowledged()
		programs.Await(t, "runs to be acknowledged again", programs.Patience, func() bool { return nodes[0].acknowledged() > acked+3 })
		pass(random, 2*time.Second)
		watch.check(t, round)
	}
	programs.Await(t, "all nodes live at the end", programs.Patience, func() bool { return watch.live() == len(nodes) })
	stop()
	working.Wait()
	s.check(nodes)
	if n := s.turns(nodes[0].name); n != 0 {
		t.Errorf("%s went on, and %d turns were told of it", nodes[0].name, n)
	}
}

// pass lets a random time pass.
func pass(random *rand.Rand, atMost time.Duration) {
	timer := time.NewTimer(time.Duration(random.Int64N(int64(atMost))))
	<-timer.C
}
