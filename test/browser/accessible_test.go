package browser

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// axe checks pages against WCAG: names, roles, labels, headings, contrast.
//
//go:embed testdata/axe.min.js.gz
var axe []byte

// shownPage is a page of the fleet that is shown, and something that it says.
type shownPage struct{ path, want string }

// shownPages are all pages, as an admin reaches them.
func shownPages() []shownPage {
	return []shownPage{{"/ui/", "Problems"}, {"/ui/nodes", "web-01"}, {"/ui/nodes?presence=live&label=role%3Ddb", "db-01"}, {"/ui/nodes/web-09", "Timeline"}, {"/ui/nodes/web-17", "bind() to 0.0.0.0:80"},
		{"/ui/inventory", "Condition over labels"}, {`/ui/inventory?where=version(packages.openssl.version)+<+version("3.0.17")&show=os.version`, "nodes match"},
		{"/ui/inventory?count=os.version", "os.version"}, {"/ui/inventory?where=os.nonsense+==+1", "nonsense"}, {"/ui/compliance", "cis-debian-12:5.1"},
		{"/ui/compliance?control=cis-debian-12:5.1", "sshd/file:/etc/ssh/sshd_config"}, {"/ui/channels", "canary"}, {"/ui/rollouts", "canary"}, {"/ui/rollouts/canary?node=db-07", "What can be done"}, {"/ui/alerts", "Receivers"}, {"/ui/hubs", "no hubs"}, {"/ui/events", "node.enrolled"},
		{"/ui/audit", "access.login"}}
}

// TestAccessible has a checker of WCAG look at every page, wide and light; and at colours and sizes again, narrow and dark.
func TestAccessible(t *testing.T) {
	t.Parallel()
	chromium(t)
	packed, err := gzip.NewReader(bytes.NewReader(axe))
	must(t, err)
	checker, err := io.ReadAll(packed)
	must(t, err)
	f := newFleet(t)
	f.show(t)
	tb := newTab(t, f)
	check := func(where string, rules string) {
		t.Helper()
		eval[bool](tb, string(checker)+"\n;true")
		run := `axe.run(document, {runOnly: ` + rules + `}).then((r) =>
			r.violations.flatMap((v) => v.nodes.slice(0, 3).map((n) => v.id + ": " + v.help + ": " + n.html.slice(0, 160) + " " + (n.any[0]?.message ?? ""))))`
		found, err := chromedp.Run(tb.ctx, chromedp.Evaluate[[]string](run, chromedp.EvalAwaitPromise))
		must(t, err)
		for _, text := range found {
			t.Errorf("%s: %s", where, text)
		}
	}
	for size, rules := range map[int64]string{1920: `["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]`, 375: `{type: "rule", values: ["color-contrast", "target-size"]}`} {
		tb.view(size, 900, size == 375)
		tb.open("/ui/login")
		check("the login", rules)
		tb.login(f.admin)
		for _, page := range shownPages() {
			tb.open(page.path)
			tb.whole(page.path, page.want, size)
			check(page.path, rules)
		}
		tb.open("/ui/nowhere")
		tb.expect("404")
		check("a page that is not there", rules)
		tb.open("/ui/")
		tb.click(".who button")
	}
}

// TestKeyboard walks every page with the tab key: the first stop leads past the navigation, each stop can be seen, has an outline, and is
// where the eye expects it; and what scrolls can be scrolled.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	chromium(t)
	f := newFleet(t)
	f.show(t)
	tb := newTab(t, f)
	tb.login(f.admin)
	tb.view(1280, 900, false)
	const stop = `(() => { const e = document.activeElement, r = e.getBoundingClientRect(), s = getComputedStyle(e);
		if (e === document.body) return "body";
		const seen = r.width > 0 && r.height > 0 && r.top < innerHeight && r.bottom > 0, outlined = s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0;
		window.stops = (window.stops || []); const back = window.stops.length > 0 && !(window.stops.at(-1).compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING); window.stops.push(e);
		return (seen ? "" : "unseen ") + (outlined ? "" : "no outline ") + (back ? "backwards " : "") + (e.className === "skip" ? "skip" : e.tagName); })()`
	for _, page := range shownPages() {
		tb.open(page.path)
		for i := range 24 {
			tb.do(chromedp.KeyEvent("\t"))
			got := eval[string](tb, stop)
			if got == "body" {
				break
			}
			if (i == 0) != (got == "skip") || strings.Contains(got, " ") {
				t.Errorf("%s: stop %d of the keyboard is %s: %s", page.path, i, got, eval[string](tb, "document.activeElement.outerHTML.slice(0, 120)"))
			}
		}
		if n := eval[int](tb, `[...document.querySelectorAll("*")].filter((e) => e.tabIndex > 0 || e.accessKey || e.scrollWidth > e.clientWidth + 1 && ["auto", "scroll"].includes(getComputedStyle(e).overflowX) && e.tabIndex < 0 && !e.querySelector("a, button")).length`); n != 0 {
			t.Errorf("%s: %d elements jump the order, or scroll and cannot be reached", page.path, n)
		}
	}
	tb.open("/ui/nodes")
	tb.do(chromedp.KeyEvent("\t"), chromedp.KeyEvent("\r"))
	if got := eval[string](tb, "document.activeElement.id"); got != "main" {
		t.Errorf("the first stop leads to %q", got)
	}
	tb.clean("the pages")
}

// TestWithoutScript reads every page with script turned off, and filters and pages.
func TestWithoutScript(t *testing.T) {
	t.Parallel()
	chromium(t)
	f := newFleet(t)
	f.show(t)
	tb := newTab(t, f)
	tb.login(f.admin)
	tb.do(chromedp.Navigate("about:blank"))
	tb.script(false)
	for _, page := range shownPages() {
		tb.open(page.path)
		tb.whole(page.path, page.want, 1280)
		if !strings.Contains(tb.text(), "Reload for news.") {
			t.Errorf("%s claims to be live", page.path)
		}
	}
	tb.open("/ui/nodes")
	tb.do(chromedp.SendKeys(chromedp.CSS("#f-name"), "db-\n"))
	tb.await("the filtered page", `location.search.includes("name=db-") && document.readyState === "complete"`)
	if text := tb.text(); !strings.Contains(text, "db-01") || strings.Contains(text, "web-01") {
		t.Errorf("the filter shows\n%s", text)
	}
	tb.click(".who button")
	if at := eval[string](tb, "location.pathname"); at != "/ui/login" {
		t.Errorf("the logout leads to %s", at)
	}
	tb.clean("the pages")
}
