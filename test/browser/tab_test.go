package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium is the path of the browser. Without one the test is left out, unless VIGO_BROWSER is set.
func chromium(t *testing.T) string {
	t.Helper()
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
				return path
			}
		}
	}
	if os.Getenv("VIGO_BROWSER") != "" {
		t.Fatal("no chromium is installed (Debian: chromium)")
	}
	t.Skip("no chromium is installed (Debian: chromium)")
	return ""
}

// A tab is one tab of a browser, with what went wrong in it.
type tab struct {
	t   *testing.T
	f   *fleet
	ctx context.Context

	mu       sync.Mutex
	mistakes []string
	news     chan struct{} // there is another mistake
}

// newTab starts a browser with a profile of its own. At the end nothing may have gone wrong in it.
func newTab(t *testing.T, f *fleet) *tab {
	t.Helper()
	path := chromium(t)
	profile := t.TempDir()
	opts := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.UserDataDir(profile), chromedp.WindowSize(1280, 800), chromedp.WSURLReadTimeout(2 * time.Minute)}
	for _, flag := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage",
		"disable-renderer-backgrounding", "disable-background-timer-throttling", "disable-backgrounding-occluded-windows", "hide-scrollbars"} {
		opts = append(opts, chromedp.Flag(flag, true))
	}
	opts = append(opts, chromedp.Flag("ignore-certificate-errors-spki-list", f.pin), chromedp.Flag("force-color-profile", "srgb"))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(stop)
	return tabIn(t, f, alloc)
}

// another opens one more tab of the same browser.
func (tb *tab) another() *tab {
	tb.t.Helper()
	return tabIn(tb.t, tb.f, tb.ctx)
}

func tabIn(t *testing.T, f *fleet, parent context.Context) *tab {
	t.Helper()
	tb := &tab{t: t, f: f, news: make(chan struct{}, 1)}
	ctx, cancel := chromedp.NewContext(parent, chromedp.WithListener(tb.hear))
	tb.ctx = ctx
	t.Cleanup(cancel)
	tb.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, log.Enable, cdp.Empty{})
		return err
	}))
	t.Cleanup(func() { // a browser that was never started cannot be closed: that waits for ever
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("closing the browser: %v", err)
		}
	})
	return tb
}

// hear takes note of errors in the console, among them whatever the content security policy has stopped.
func (tb *tab) hear(event any) {
	text := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			text = e.Entry.Text + " " + e.Entry.URL
		}
	case *runtime.EventExceptionThrown:
		text = fmt.Sprintf("%s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
	case *runtime.EventConsoleAPICalled:
		text = fmt.Sprintf("console.%s", e.Type)
	}
	if text == "" {
		return
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.mistakes = append(tb.mistakes, text)
	select {
	case tb.news <- struct{}{}:
	default:
	}
}

// expect waits for a mistake that is meant, and forgets it.
func (tb *tab) expect(text string) {
	tb.t.Helper()
	patience := time.After(2 * time.Minute)
	for {
		tb.mu.Lock()
		at := slices.IndexFunc(tb.mistakes, func(m string) bool { return strings.Contains(m, text) })
		if at >= 0 {
			tb.mistakes = slices.Delete(tb.mistakes, at, at+1)
		}
		tb.mu.Unlock()
		if at >= 0 {
			return
		}
		select {
		case <-tb.news:
		case <-patience:
			tb.t.Fatalf("the console says nothing of %s", text)
		}
	}
}

// clean fails for what went wrong since it was asked last.
func (tb *tab) clean(where string) {
	tb.t.Helper()
	tb.mu.Lock()
	defer tb.mu.Unlock()
	for _, m := range tb.mistakes {
		tb.t.Errorf("%s: the console says %s", where, m)
	}
	tb.mistakes = nil
}

func (tb *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	if err := chromedp.Do(tb.ctx, steps...); err != nil {
		tb.t.Fatal(err)
	}
}

// eval returns what an expression is in the page.
func eval[T any](tb *tab, expression string) T {
	tb.t.Helper()
	v, err := chromedp.Run(tb.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		tb.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// await waits until an expression is true in the page. A page that is on its way out while it is asked is asked again.
func (tb *tab) await(what, expression string) {
	tb.t.Helper()
	for range 5 {
		_, err := chromedp.Run(tb.ctx, chromedp.Poll[bool]("("+expression+") === true", chromedp.WithPollingInterval(50*time.Millisecond)))
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), "Cannot find context") && !strings.Contains(err.Error(), "navigated") {
			tb.t.Fatalf("waiting for %s: %v\n%s", what, err, tb.text())
		}
	}
	tb.t.Fatalf("waiting for %s: the page is always another one", what)
}

func (tb *tab) text() string { return eval[string](tb, "document.body.innerText") }

func (tb *tab) open(path string) {
	tb.t.Helper()
	tb.do(chromedp.Navigate(tb.f.url + path))
}

// click follows a link or presses a button, and waits for the page it leads to.
func (tb *tab) click(selector string) {
	tb.t.Helper()
	if _, err := chromedp.RunResponse(tb.ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		tb.t.Fatalf("clicking %s: %v\n%s", selector, err, tb.text())
	}
}

// login logs in through the page for it.
func (tb *tab) login(token string) {
	tb.t.Helper()
	tb.open("/ui/login")
	tb.do(chromedp.SendKeys(chromedp.CSS("#token"), token))
	tb.click(".login button")
	tb.do(chromedp.WaitVisible(chromedp.CSS(".who")))
}

// view sets the width of the window and whether the system is dark.
func (tb *tab) view(width, height int64, dark bool) {
	tb.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	tb.do(chromedp.EmulateViewport(width, height), chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}))
}

// script lets pages run script, or not.
func (tb *tab) script(runs bool) {
	tb.t.Helper()
	tb.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !runs})
		return err
	}))
}
