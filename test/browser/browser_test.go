package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestEveryPage is clicked through by an admin, from the login to the logout, at two widths; without an error in the console, and
// without a page that is wider than the window.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	chromium(t)
	f := newFleet(t)
	f.show(t)
	tb := newTab(t, f)
	tb.open("/")
	if at := eval[string](tb, "location.pathname + location.search"); at != "/ui/login?next=%2Fui%2F" {
		t.Errorf("the root leads to %s", at)
	}
	tb.clean("the login")
	tb.do(chromedp.SendKeys(chromedp.CSS("#token"), "wrong"))
	tb.click(".login button")
	if !strings.Contains(tb.text(), "This token is not valid here.") {
		t.Errorf("a wrong token: %s", tb.text())
	}
	tb.expect("401") // the browser says of it that it is one
	tb.login(f.admin)
	for _, width := range []int64{1920, 375} {
		tb.view(width, 900, width == 375)
		for _, page := range []struct{ section, want string }{{"overview", "Problems"}, {"nodes", "web-01"}, {"inventory", "Condition over labels"}, {"compliance", "cis-debian-12:5.1"}, {"channels", "production"},
			{"rollouts", "canary"}, {"alerts", "Receivers"}, {"hubs", "no hubs"}, {"events", "node.enrolled"}, {"audit", "access.login"}} {
			path := "/ui/" + strings.TrimPrefix(page.section, "overview")
			tb.click(`nav a[href="` + path + `"]`)
			tb.whole(page.section, page.want, width)
			if here := eval[string](tb, `document.querySelector("nav [aria-current=page]").textContent.toLowerCase()`); here != page.section {
				t.Errorf("%s: the navigation says %s", page.section, here)
			}
		}
		tb.click(`nav a[href="/ui/"]`)
		tb.click(`.tile.failed`)
		tb.whole("a counter", "bind() to 0.0.0.0:80", width)
		if at := eval[string](tb, "location.search"); at != "?compliance=failed" {
			t.Errorf("the counter leads to %s", at)
		}
		tb.click(`tbody a[href^="/ui/nodes/"]`)
		tb.whole("a node", "Timeline", width)
		tb.do(chromedp.Click(chromedp.CSS("#trait-os summary")), chromedp.WaitVisible(chromedp.CSS("#trait-os table")))
		tb.whole("a trait", "bookworm", width)
		tb.open(`/ui/inventory?where=version(packages.openssl.version)+<+version("3.0.17")&show=os.version,packages.openssl.version`)
		tb.whole("a question", "nodes match", width)
		tb.open(`/ui/inventory?count=os.version`)
		tb.whole("counts", "os.version", width)
		tb.open(`/ui/inventory?where=os.nonsense+==+1`)
		tb.whole("a mistake", "nonsense", width)
	}
	tb.click(".who button")
	if at := eval[string](tb, "location.pathname"); at != "/ui/login" {
		t.Errorf("the logout leads to %s", at)
	}
	tb.open("/ui/nodes")
	if at := eval[string](tb, "location.pathname"); at != "/ui/login" {
		t.Errorf("after the logout a page is shown at %s", at)
	}
}

// whole fails for a page without a text, with a mistake, or wider than the window.
func (tb *tab) whole(where, want string, width int64) {
	tb.t.Helper()
	if text := tb.text(); !strings.Contains(text, want) {
		tb.t.Errorf("%s has no %q:\n%s", where, want, text)
	}
	if wide := eval[int64](tb, "document.documentElement.scrollWidth"); wide > width {
		tb.t.Errorf("%s is %d wide in a window of %d: %s", where, wide, width, eval[string](tb, `[...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > innerWidth && !e.closest(".box,.diff,nav ul")).slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join("\n")`))
	}
	if cut := eval[string](tb, `[...document.querySelectorAll(".stack")].filter(e => innerWidth <= 600 && e.scrollWidth > e.clientWidth + 1).map(e => e.ariaLabel).join(", ")`); cut != "" {
		tb.t.Errorf("%s: on a telephone a part of the rows cannot be seen: %s", where, cut)
	}
	if here := eval[bool](tb, `(() => { const e = document.querySelector("header nav [aria-current]"); if (!e) return true; const r = e.getBoundingClientRect(); return r.left >= 0 && r.right <= innerWidth + 1; })()`); !here {
		tb.t.Errorf("%s: where one is cannot be seen in the navigation", where)
	}
	tb.clean(where)
}

// TestStaleAndBack has a node fall silent and come back while its pages are open, none of which is loaded anew.
func TestStaleAndBack(t *testing.T) {
	t.Parallel()
	chromium(t)
	f := newFleet(t)
	f.publish(t, note("production", 2*time.Second))
	m := f.join(t, "web-1", "production", nil)
	m.checkIn(t)
	tb := newTab(t, f)
	tb.login(f.viewer)
	tb.open("/ui/nodes")
	tb.do(chromedp.Evaluate[chromedp.Void]("window.same = 'the same page'"))
	row := `document.querySelector("#node-web-1").innerText`
	tb.await("the stream", `document.getElementById("link").textContent === "Live."`)
	m.checkIn(t) // however long it took to come here, the page sees it live first
	tb.await("a node that is live", row+`.includes("live")`)
	tb.await("a node that is stale", row+`.includes("stale")`)
	tb.await("what is said to who does not see it", `document.getElementById("said").textContent.includes("web-1 is stale")`)
	tb.await("the counters", `document.getElementById("part-pulse").innerText.includes("0/1 live")`)
	m.checkIn(t)
	tb.await("a node that is back", row+`.includes("live")`)
	if eval[string](tb, "window.same") != "the same page" {
		t.Error("the page was loaded anew")
	}
	tb.clean("the list")

	tb.open("/ui/nodes/web-1")
	tb.do(chromedp.Evaluate[chromedp.Void]("window.same = 'the same page'"))
	tb.await("the page of a node that is stale", `document.querySelector(".axes").innerText.includes("stale") && document.getElementById("live-line").innerText.includes("node.stale")`)
	m.checkIn(t)
	tb.await("the page of a node that is back", `document.querySelector(".axes").innerText.includes("live")`)
	tb.open("/ui/")
	tb.await("a problem", `document.getElementById("part-problems").innerText.includes("last seen")`)
	m.checkIn(t)
	tb.await("no problem", `document.getElementById("part-problems").innerText.includes("Nothing wants a person.")`)
	tb.clean("the pages")
}

// TestOneStream has two tabs of a browser, of which one holds the stream and tells the other; when it is closed, that holds one.
func TestOneStream(t *testing.T) {
	t.Parallel()
	chromium(t)
	f := newFleet(t)
	f.publish(t, note("production", time.Second))
	m := f.join(t, "web-1", "production", nil)
	m.checkIn(t)
	one := newTab(t, f)
	one.login(f.viewer)
	one.open("/ui/nodes")
	one.await("the stream", `document.getElementById("link").textContent === "Live."`)
	two := one.another()
	two.open("/ui/nodes")
	row := `document.querySelector("#node-web-1").innerText`
	two.await("a node that is stale", row+`.includes("stale")`)
	held, err := chromedp.Run(two.ctx, chromedp.Evaluate[string](`navigator.locks.query().then(q => q.held.length + " holds, " + q.pending.length + " waits")`, chromedp.EvalAwaitPromise))
	must(t, err)
	if held != "1 holds, 1 waits" {
		t.Errorf("of the tabs %s", held)
	}
	one.do(chromedp.Navigate("about:blank"))
	two.await("a stream of its own", `document.getElementById("link").textContent === "Live."`)
	m.checkIn(t)
	two.await("a node that is back", row+`.includes("live")`)
	one.clean("one tab")
	two.clean("the other")
}

// TestLineIsCut has the line to the service cut while a page is open. The page says so, connects again by itself, and knows what has
// happened meanwhile.
func TestLineIsCut(t *testing.T) {
	t.Parallel()
	chromium(t)
	f := newFleet(t)
	f.publish(t, note("production", 3*time.Second))
	m := f.join(t, "web-1", "production", nil)
	m.checkIn(t)
	cable := newLine(t, f.Local())
	tb := newTab(t, f)
	f.url = "https://" + cable.address()
	tb.login(f.viewer)
	tb.open("/ui/nodes")
	tb.await("the stream", `document.getElementById("link").textContent === "Live."`)
	cable.cut()
	tb.await("what the page says of it", `document.getElementById("link").textContent.includes("Not connected")`)
	f.awaitStale(t)
	cable.mend()
	tb.await("the stream again", `document.getElementById("link").textContent === "Live."`)
	tb.await("what has happened", `document.querySelector("#node-web-1").innerText.includes("stale")`)
	tb.expect("ERR_")
}

// TestLinkFromElsewhere is followed by who is logged in, although the cookie does not come along.
func TestLinkFromElsewhere(t *testing.T) {
	t.Parallel()
	chromium(t)
	f := newFleet(t)
	f.publish(t, note("production", time.Hour))
	f.join(t, "web-1", "production", nil).checkIn(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<title>mail</title><link rel="icon" href="data:,"><a href="%s/ui/nodes/web-1">see</a><form method="post" action="%s/ui/logout"><button>win</button></form>`, f.url, f.url)
	}))
	defer elsewhere.Close()
	mail := strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)
	tb := newTab(t, f)
	tb.login(f.viewer)
	tb.do(chromedp.Navigate(mail), chromedp.Click(chromedp.CSS("a")), chromedp.WaitVisible(chromedp.CSS("#live-head")))
	tb.clean("a link from elsewhere")
	tb.do(chromedp.Navigate(mail))
	tb.click("button")
	tb.expect("403")
	tb.open("/ui/nodes")
	if at := eval[string](tb, "location.pathname"); at != "/ui/nodes" {
		t.Errorf("another site has logged somebody out: %s", at)
	}
}
