package browser

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/change"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// evil leaves every place that text can stand in, and says so where the page would run it.
const evil = evilLabel + `<svg onload=window.pwned=1></svg><iframe srcdoc="<script>parent.pwned=1</script>"></iframe><a href="javascript:window.pwned=1">x</a><base href=//evil.example></textarea></title></select><style>*{display:none}</style>`

// evilLabel is the same in as few bytes as a label may have.
const evilLabel = `"'><img src=/evil onerror="window.pwned=1"><script>window.pwned=1</script>`

// evilName is what a provider can call a person: it has no blank.
const evilName = `"><img/src=/evil/onerror=window.pwned=1>@evil.example`

// hostileFleet is one in which everybody who can say something says that: a node and a hub with requests that they have really signed, a
// controller, operators, and the identity provider.
func hostileFleet(t *testing.T) *fleet {
	t.Helper()
	f, issuer := ssoFleet(t)
	issuer.Be(map[string]any{"email": evilName, "email_verified": true, "groups": "platform"})
	n := note("production", time.Hour)
	n.Error, n.From, n.Rollout, n.Candidate, n.Rewritten, n.Approvals = evil, evil, evil, evil, evil, []string{evil}
	n.Waiting = &report.Waiting{Digest: stable, Note: evil, Reason: evil, Since: time.Now()}
	f.publish(t, n)
	m := f.join(t, "web-1", "production", map[string]string{"role": evilLabel})
	m.traits = map[string]any{"os": map[string]any{"id": evil, evil: evil}, "evil" + evil[:4]: evil, report.ControlsTrait: report.ControlDoc{evil: {evil}}}
	m.refusals = []report.Refusal{{Name: evil, Detail: evil, What: evil, Count: 1, First: time.Now()}}
	m.run = report.Run{Error: evil, Counts: report.Counts{Failed: 1}, Results: []report.Result{{ID: evil, Outcome: report.Failed, Reason: evil, Refresh: evil, Guard: evil, Controls: []string{evil},
		Changes: []change.Change{{Field: evil, From: evil, To: evil}, {Field: evil, Diff: "-" + evil + "\n+" + evil}}}}}
	m.checkIn(t)
	hub := f.joinAs(t, "hub-1", api.TokenRequest{Uses: 1, Hub: true})
	_, err := hub.ReportHub(t.Context(), report.HubReport{Hub: "hub-1", Version: evil, Trouble: evil, Mirrors: map[string]string{evil: evil}})
	must(t, err)
	where := "role == " + strconv.Quote(evilLabel)
	must(t, f.client.PutQuestion(t.Context(), report.SavedQuestion{Name: "evil", Note: evil, Where: where, Show: []string{"os.id"}}))
	publisher, err := api.NewOperatorClient(f.url, f.operator(t, "controller", identity.RolePublisher), time.Now)
	must(t, err)
	t.Cleanup(publisher.Close)
	must(t, publisher.PutAlertRules(t.Context(), []report.AlertRule{{Name: `evil"><img src=x onerror=window.pwned=1>`, About: evil, Severity: "critical", Where: where, GroupBy: []string{"role"}, Notify: []string{evil}}}))
	_, err = f.client.PutMute(t.Context(), report.Mute{Rule: "x" + evil, Group: evil, Reason: evil, Until: time.Now().Add(time.Hour)})
	must(t, err)
	_, err = f.client.CreateAccess(t.Context(), api.AccessRequest{Note: evil[:60], Life: time.Hour})
	must(t, err)
	for _, name := range []string{evil, "<b>", "a b", "../x"} { // a name is what nodes cannot choose freely
		made, err := f.client.CreateToken(t.Context(), api.TokenRequest{Uses: 1})
		must(t, err)
		key, err := identity.NewNodeKey()
		must(t, err)
		if _, err := (api.Enrolling{URL: f.url, Token: made.Token, Node: name, Agent: "0.1.0", Key: key, Now: time.Now}).Enroll(t.Context()); err == nil {
			t.Errorf("a node may be called %s", name)
		}
	}
	viewer, err := api.NewOperatorClient(f.url, f.viewer, time.Now) // the refusal is in the audit log
	must(t, err)
	t.Cleanup(viewer.Close)
	if err := viewer.Retire(t.Context(), evil); err == nil {
		t.Error("a viewer retires nodes")
	}
	return f
}

// TestHostile shows every page of a fleet that says markup wherever it can say something. No page runs it, and nothing of it ever comes so far
// that the content security policy has to stop it.
func TestHostile(t *testing.T) {
	t.Parallel()
	chromium(t)
	f := hostileFleet(t)
	tb := newTab(t, f)
	tb.watchPolicy()
	tb.open("/ui/login?next=" + url.QueryEscape("/ui/nodes?name="+evil))
	tb.harmless("the login", "")
	tb.click(".login a.button")
	tb.await("who is logged in", `document.querySelector(".who") !== null && document.querySelector(".who").innerText.includes("onerror")`)
	for path, shows := range map[string]string{"/ui/": "onerror", "/ui/nodes": "onerror", "/ui/nodes?name=" + url.QueryEscape(evil): "No node matches", "/ui/nodes/web-1": "onerror",
		"/ui/inventory": "evil", "/ui/inventory?show=os.id": "onerror", "/ui/inventory?count=os.id": "onerror", "/ui/inventory?where=" + url.QueryEscape(evil): "onerror",
		"/ui/compliance": "onerror", "/ui/compliance?control=" + url.QueryEscape(evil): "onerror", "/ui/channels": "onerror", "/ui/alerts": "onerror", "/ui/hubs": "onerror",
		"/ui/events": "onerror", "/ui/events?kind=" + url.QueryEscape(evil): "", "/ui/audit": "onerror", "/ui/audit?actor=" + url.QueryEscape(evil): ""} {
		tb.open(path)
		tb.await("the stream", `document.getElementById("link").textContent === "Live."`)
		tb.harmless(path, shows)
		tb.clean(path)
	}
	tb.open("/ui/" + url.PathEscape(evil))
	tb.expect("404")
	tb.harmless("a page that is not there", "onerror")
	tb.open("/ui/compliance?control=x" + url.QueryEscape(evil))
	tb.expect("404")
	tb.harmless("a control that is not there", "onerror")
	tb.open("/ui/alerts")
	tb.await("the alert, with the group and what was found", `document.querySelector("#live-alerts tbody").innerText.includes("firing")`)
	tb.harmless("an alert", "onerror")
	tb.clean("the pages")
}

// TestHostileStream has markup come through the stream, into pages that are open; and the browser does run nothing that is inline.
func TestHostileStream(t *testing.T) {
	t.Parallel()
	chromium(t)
	f := newFleet(t)
	f.publish(t, note("production", time.Hour))
	m := f.join(t, "web-1", "production", map[string]string{"role": evilLabel})
	m.checkIn(t)
	tb := newTab(t, f)
	tb.watchPolicy()
	tb.login(f.viewer)
	tb.open("/ui/nodes")
	tb.await("the stream", `document.getElementById("link").textContent === "Live."`)
	m.run = report.Run{Error: "again " + evil, Counts: report.Counts{Failed: 1}}
	m.checkIn(t)
	tb.await("the row", `document.querySelector("#node-web-1").innerText.includes("again")`)
	tb.await("what is said", `document.getElementById("said").textContent.includes("web-1")`)
	tb.harmless("a row from the stream", "onerror")
	tb.open("/ui/")
	tb.await("the problem", `document.getElementById("part-problems").innerText.includes("onerror")`)
	tb.harmless("a problem from the stream", "onerror")
	tb.clean("the pages")
	for what, script := range map[string]string{
		"a script":  `const s = document.createElement("script"); s.textContent = "window.inline = true"; document.body.append(s)`,
		"a handler": `const d = document.createElement("div"); d.innerHTML = "<img src=data:, onerror='window.inline = true'>"; document.body.append(d)`,
	} {
		eval[bool](tb, `(() => { `+script+`; return true; })()`)
		tb.await("that the policy stops "+what, `window.violations.length > 0`)
		if eval[bool](tb, `window.inline === true`) {
			t.Errorf("the browser runs %s", what)
		}
		tb.expect("Content Security Policy")
		tb.open("/ui/")
	}
	tb.mistakes = nil // the image that is none
}

// watchPolicy has every page that is opened from now on count what the content security policy stops.
func (tb *tab) watchPolicy() {
	tb.t.Helper()
	tb.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
			Source: `window.violations = []; addEventListener("securitypolicyviolation", (e) => window.violations.push(e.violatedDirective + " " + e.blockedURI + " " + e.sample));`})
		return err
	}))
}

// harmless fails when a page has run what it shows, when the policy had to stop it, or when an element is none of ours.
func (tb *tab) harmless(where, shows string) {
	tb.t.Helper()
	if eval[bool](tb, `"pwned" in window`) {
		tb.t.Errorf("%s runs what it shows", where)
	}
	if stopped := eval[[]string](tb, `window.violations`); len(stopped) > 0 {
		tb.t.Errorf("%s: the policy had to stop %q", where, stopped)
	}
	const strange = `[...document.querySelectorAll("*")].filter((e) => ["IFRAME", "OBJECT", "EMBED", "BASE", "STYLE", "TEXTAREA"].includes(e.tagName) ||
		e.tagName === "SCRIPT" && !e.getAttribute("src").startsWith("/ui/static/") || e.tagName === "IMG" && !e.closest(".brand") || [...e.attributes].some((a) => a.name.startsWith("on") || a.name === "style") ||
		e.tagName === "A" && !/^(\/ui\/|#main|https:\/\/127\.0\.7\.1:\d+\/ui\/login\/)/.test(e.getAttribute("href")) || e.tagName === "FORM" && !e.getAttribute("action").startsWith("/ui/")).map((e) => e.outerHTML.slice(0, 200))`
	if found := eval[[]string](tb, strange); len(found) > 0 {
		tb.t.Errorf("%s has %q", where, found)
	}
	if text := tb.text(); !strings.Contains(text, shows) {
		tb.t.Errorf("%s does not show %q:\n%s", where, shows, text)
	}
	if title := eval[string](tb, "document.title"); !strings.HasSuffix(title, "· acme · Vigo") {
		tb.t.Errorf("%s is called %s", where, fmt.Sprintf("%.80s", title))
	}
}
