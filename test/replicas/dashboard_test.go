package replicas

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"vigo.dev/test/programs"
)

// A tab is a browser that looks at the fleet through the balancer.
type tab struct {
	t   *testing.T
	ctx context.Context
}

func newTab(t *testing.T) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("VIGO_BROWSER") == "" {
		t.Skip("no chromium is installed (Debian: chromium)")
	}
	must(t, err)
	opts := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(2 * time.Minute)}
	for _, flag := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage", "disable-background-timer-throttling",
		"disable-renderer-backgrounding", "ignore-certificate-errors"} { // each replica has a certificate of its own
		opts = append(opts, chromedp.Flag(flag, true))
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	must(t, chromedp.Do(ctx)) // starts it: one that never was cannot be closed, and closing it waits for ever
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("closing the browser: %v", err)
		}
	})
	return &tab{t, ctx}
}

func (tb *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	must(tb.t, chromedp.Do(tb.ctx, steps...))
}

// text is what a part of the page shows.
func (tb *tab) text(selector string) string {
	tb.t.Helper()
	text, err := chromedp.Run(tb.ctx, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector(%q)?.innerText ?? ""`, selector)))
	must(tb.t, err)
	return text
}

// TestDashboardGoesOn has a page open while either service is killed: it counts on, and is never loaded anew.
func TestDashboardGoesOn(t *testing.T) {
	t.Parallel()
	tb := newTab(t)
	s := newSite(t)
	token := s.vigo("token", "create", "--uses", "10")
	nodes := make([]*node, 4)
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	defer working.Wait()
	defer stop()
	for i := range nodes {
		nodes[i] = join(t, s.url(), token, fmt.Sprint("web-", i))
		working.Go(func() { nodes[i].work(ctx) })
	}
	tb.do(chromedp.Navigate(s.url()+"/ui/login"), chromedp.SendKeys(chromedp.CSS("#token"), s.config(0).Token), chromedp.Click(chromedp.CSS(".login button")), chromedp.WaitVisible(chromedp.CSS(".who")))
	tb.do(chromedp.Evaluate[chromedp.Void]("window.same = 'the same page'"))
	shows := func(what, pulse string) {
		t.Helper()
		began := time.Now()
		programs.Await(t, what, programs.Patience, func() bool {
			return tb.text("#link") == "Live." && len(tb.text("#part-pulse")) >= len(pulse) && tb.text("#part-pulse")[:len(pulse)] == pulse
		})
		t.Logf("%s after %s", what, time.Since(began).Round(100*time.Millisecond))
	}
	shows("all nodes live", "4/4 live")
	for victim := range s.replicas {
		s.replicas[victim].End(syscall.SIGKILL)
		nodes[0].asleep.Store(true)
		shows(fmt.Sprintf("replica %d killed, a node stale", victim), "3/4 live")
		nodes[0].asleep.Store(false)
		shows("the node back", "4/4 live")
		s.start(victim)
	}
	if same, err := chromedp.Run(tb.ctx, chromedp.Evaluate[string]("window.same")); err != nil || same != "the same page" {
		t.Errorf("the page was loaded anew: %q, %v", same, err)
	}
}
