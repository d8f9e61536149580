package dashboard

import (
	"bufio"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// everyPage is the address of each page, as somebody can reach it for a node.
func everyPage(node string) []string {
	return []string{"/ui/", "/ui/nodes", "/ui/nodes?name=*&presence=stale&label=a%3Db&sort=seen", "/ui/nodes/" + url.PathEscape(node), "/ui/inventory",
		"/ui/inventory?where=x&show=a,b", "/ui/inventory?count=os.id", "/ui/inventory?where=broken", "/ui/compliance", "/ui/compliance?name=e", "/ui/channels", "/ui/rollouts", "/ui/rollouts/stable?node=a", "/ui/rollouts/stable?word=failed", "/ui/alerts", "/ui/hubs", "/ui/events", "/ui/audit"}
}

// TestHostileStrings has every string that somebody else decides be one that would run script if it were not escaped.
func TestHostileStrings(t *testing.T) {
	t.Parallel()
	for _, hostile := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</title></textarea><svg onload=alert(1)>`, `javascript:alert(1)`} {
		w := newWorld(hostile)
		r := newRig(t, w)
		r.login(t, identity.RoleAdmin)
		for _, path := range append(everyPage(w.nodes[2].Name), "/ui/nodes?name="+url.QueryEscape(hostile), "/ui/inventory?where="+url.QueryEscape(hostile)+"&show="+url.QueryEscape(hostile),
			"/ui/events?kind="+url.QueryEscape(hostile), "/ui/audit?actor="+url.QueryEscape(hostile), "/ui/compliance?control="+url.QueryEscape(hostile), "/ui/compliance?name="+url.QueryEscape(hostile), "/ui/"+url.PathEscape(hostile), "/ui/login?next="+url.QueryEscape(hostile)) {
			resp, body := r.get(t, path)
			if resp.StatusCode >= 500 {
				t.Errorf("%s: %s", path, resp.Status)
			}
			onlyOurs(t, path, body)
		}
	}
}

// onlyOurs fails for script, for handlers of events, for styles, for links and for elements that are none of our own.
func onlyOurs(t *testing.T, path, body string) {
	t.Helper()
	z := html.NewTokenizer(strings.NewReader(body))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			return
		}
		token := z.Token()
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		for _, a := range token.Attr {
			switch {
			case strings.HasPrefix(a.Key, "on") || a.Key == "style":
				t.Errorf("%s: <%s %s=%q>", path, token.Data, a.Key, a.Val)
			case (a.Key == "href" || a.Key == "src" || a.Key == "action") && !strings.HasPrefix(a.Val, "/ui/") && a.Val != "#main":
				t.Errorf("%s: <%s %s=%q> leads away", path, token.Data, a.Key, a.Val)
			case a.Key == "src" && !strings.HasPrefix(a.Val, "/ui/static/vigo-"):
				t.Errorf("%s: <%s> loads %s", path, token.Data, a.Val)
			}
		}
	}
}

// TestPagesShowWhatThereIs reads every page for what it is for.
func TestPagesShowWhatThereIs(t *testing.T) {
	t.Parallel()
	r := newRig(t, newWorld("text"))
	r.login(t, identity.RoleAdmin)
	for path, wants := range map[string][]string{
		"/ui/": {"<title>Overview · acme · Vigo</title>", "1/4 live", "4 problems", "Maintenance of 2 nodes until 2026-11-28 13:00:00 UTC", "1 silent; 1 failing", "is on: ordered 2026-11-28 12:00:00 UTC", "1 node has the turn to reboot; 2 wait",
			`href="/ui/nodes?presence=stale"`, "stale", "channel"},
		"/ui/nodes":                               {"1–4 of 4", `href="/ui/nodes/livetext"`, "vigo nodes", "</i>quarantine</span>", "</i>maintenance</span>"},
		"/ui/nodes?presence=stale":                {"1–1 of 1", "staletext", "vigo nodes --presence stale"},
		"/ui/nodes?name=ive":                      {"1–1 of 1", "livetext", "vigo nodes &#39;*ive*&#39;"},
		"/ui/nodes?name=nobody":                   {"No node matches."},
		"/ui/nodes?label=text":                    {"is not key=value"},
		"/ui/nodes/staletext":                     {"compliance is what was reported last", `class="del"`, "<summary>bare", "list[1].a", "Timeline", `href="/ui/rollouts/stable?node=staletext"`, "<svg class=\"runs\""},
		"/ui/nodes/latetext":                      {"in quarantine", "until somebody releases it", "vigo node release latetext"},
		"/ui/nodes/missingtext":                   {"Maintenance until <time", "2026-11-28 13:00:00"},
		"/ui/nodes/nobody":                        {"there is no node", "did you mean &#34;web-1&#34;?"},
		"/ui/inventory?where=x&show=a,+b":         {"1 node matches", "vigo inventory x --show a,b", "{&#34;a&#34;:&#34;text&#34;}"},
		"/ui/inventory?count=os.id":               {"<svg", "vigo inventory --count os.id"},
		"/ui/inventory?where=broken":              {"unknown name text", `value="broken"`},
		"/ui/compliance":                          {"1 of 2 controls are met on every node", `href="/ui/compliance?control=text&amp;state=failed"`, "1–2 of 2", "vigo controls"},
		"/ui/compliance?name=met":                 {"1–1 of 1", "all controls"},
		"/ui/compliance?control=text":             {"1–5 of 5 nodes", `href="/ui/nodes/staletext"`, "vigo controls text"},
		"/ui/compliance?control=text&state=drift": {"1–1 of 1 nodes that are drift", "vigo controls text --state drift"},
		"/ui/compliance?control=other":            {"no node serves"},
		"/ui/compliance?control=text&state=good":  {"is none of a control"},
		"/ui/channels":                            {"waiting", "0 of 2 approved"},
		"/ui/rollouts":                            {`href="/ui/rollouts/stable"`, "paused", "progress-deadline", "vigo rollout status"},
		"/ui/rollouts/stable":                     {"1 of 2: text", "30m left of 2h", "vigo rollout resume stable", "Nodes that are failed", "the check nginx does not hold", "begins", "superseded"},
		"/ui/rollouts/stable?word=healthy":        {"Nodes that are healthy", "It remembers no node of this word"},
		"/ui/rollouts/stable?word=nonsense":       {"is none of the words"},
		"/ui/rollouts/stable?node=web-1":          {"its turn is yet to come", "early", "vigo rollout explain web-1"},
		"/ui/rollouts/stable?node=nobody":         {"there is no node nobody"},
		"/ui/rollouts/stable?node=elsewhere":      {"elsewhere is of channel canary"},
		"/ui/rollouts/nowhere":                    {"there was no rollout on channel"},
		"/ui/alerts":                              {"inhibited by text", "muted", "vigo alert list"},
		"/ui/hubs":                                {"text text", "stale"},
		"/ui/events?kind=node.*":                  {"1 shown", "node.back"},
		"/ui/audit":                               {"vigo audit verify", "vigo audit log"},
		"/ui/nowhere":                             {"there is no page /ui/nowhere"},
	} {
		_, body := r.get(t, path)
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s has no %q:\n%s", path, want, body)
			}
		}
	}
}

// TestProblemsComeFirst has the nodes in the order in which they want a person.
func TestProblemsComeFirst(t *testing.T) {
	t.Parallel()
	list := []report.NodeStatus{{Name: "ok", Presence: report.Live}, {Name: "late", Presence: report.Late}, {Name: "stale", Presence: report.Stale},
		{Name: "failed", Presence: report.Live, Compliance: report.ComplianceFailed}, {Name: "refuses", Presence: report.Live, Refusals: make([]report.Refusal, 1)}}
	var got []string
	for _, i := range order(list, "problems") {
		got = append(got, list[i].Name)
	}
	worst := report.NodeStatus{Refusals: make([]report.Refusal, 1), Compliance: report.ComplianceFailed, Presence: report.Missing, Digest: report.DigestAhead}
	if most := trouble(worst); most > mostTrouble {
		t.Errorf("the worst has %d, more than %d", most, mostTrouble)
	}
	if strings.Join(got, " ") != "refuses failed stale late ok" {
		t.Errorf("the order is %v", got)
	}
}

// TestAlertsThatAreToldComeFirst before worse ones that are muted.
func TestAlertsThatAreToldComeFirst(t *testing.T) {
	t.Parallel()
	told, muted, waiting := report.Alert{Severity: "warning", State: "firing"}, report.Alert{Severity: "critical", State: "firing", Muted: "m1"}, report.Alert{Severity: "info", State: "waiting"}
	if weight(told) <= weight(muted) || weight(muted) <= weight(waiting) {
		t.Errorf("told %d, muted %d, waiting %d", weight(told), weight(muted), weight(waiting))
	}
}

// TestNobodyIsLetIn asks for every page without a session, and with one that is not valid (any more).
func TestNobodyIsLetIn(t *testing.T) {
	t.Parallel()
	w := newWorld("text")
	r := newRig(t, w)
	outside := func(when string) {
		t.Helper()
		for _, path := range append(everyPage("livetext"), "/ui/live", "/ui/nowhere") {
			resp, body := r.get(t, path)
			if resp.StatusCode != http.StatusSeeOther && resp.StatusCode != http.StatusUnauthorized || strings.Contains(body, "<main") {
				t.Errorf("%s, %s answers %s", when, path, resp.Status)
			}
			if to := resp.Header.Get("Location"); resp.StatusCode == http.StatusSeeOther && !strings.HasPrefix(to, "/ui/login?next=") {
				t.Errorf("%s leads to %s", path, to)
			}
		}
	}
	outside("without a session")
	r.login(t, identity.RoleViewer)
	if resp, _ := r.get(t, "/ui/"); resp.StatusCode != http.StatusOK {
		t.Fatalf("logged in: %s", resp.Status)
	}
	if err := w.RevokeAccess(t.Context(), "session of viewer"); err != nil {
		t.Fatal(err)
	}
	outside("with a session that was revoked")
}

// TestRoles lets viewers read and only admins see the audit log; who only publishes is not let in.
func TestRoles(t *testing.T) {
	t.Parallel()
	r := newRig(t, newWorld("text"))
	for role, want := range map[identity.Role]int{identity.RoleViewer: http.StatusForbidden, identity.RoleOperator: http.StatusForbidden, identity.RoleAdmin: http.StatusOK} {
		r.login(t, role)
		resp, body := r.get(t, "/ui/audit")
		if resp.StatusCode != want || strings.Contains(body, `href="/ui/audit"`) != (want == http.StatusOK) {
			t.Errorf("the audit log for a %s: %s", role, resp.Status)
		}
	}
	if resp, _ := r.post(t, "/ui/login", url.Values{"token": {string(identity.RolePublisher)}}); resp.StatusCode != http.StatusForbidden || len(resp.Cookies()) > 0 {
		t.Errorf("a publisher logs in: %s", resp.Status)
	}
	if got := strings.Join(r.refused, "; "); strings.Count(got, "GET /ui/audit forbidden") != 2 || !strings.Contains(got, "POST /ui/login forbidden") {
		t.Errorf("the audit log was told of %s", got)
	}
}

// TestLoginAndLogout has a cookie that no script sees and no other site sends, and that is worth nothing after the logout.
func TestLoginAndLogout(t *testing.T) {
	t.Parallel()
	w := newWorld("text")
	r := newRig(t, w)
	resp, body := r.post(t, "/ui/login", url.Values{"token": {"wrong"}, "next": {"/ui/nodes?presence=stale"}})
	if resp.StatusCode != http.StatusUnauthorized || len(resp.Cookies()) > 0 || !strings.Contains(body, "not valid here") || !strings.Contains(body, `value="/ui/nodes?presence=stale"`) {
		t.Errorf("with a wrong token: %s %v\n%s", resp.Status, resp.Cookies(), body)
	}
	resp, _ = r.post(t, "/ui/login", url.Values{"token": {" viewer\n"}, "next": {"/ui/nodes?presence=stale"}})
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/ui/nodes?presence=stale" || len(resp.Cookies()) != 1 {
		t.Fatalf("logging in: %s to %s", resp.Status, resp.Header.Get("Location"))
	}
	c := resp.Cookies()[0]
	if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.Name != "__Host-vigo" {
		t.Errorf("the cookie is %+v", c)
	}
	if resp, _ := r.post(t, "/ui/logout", nil); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("logging out: %s", resp.Status)
	}
	if _, err := w.AccessToken(c.Value); err == nil {
		t.Error("the session is valid after the logout")
	}
	if _, err := w.AccessToken("viewer"); err != nil {
		t.Error("the token is not valid after the logout")
	}
}

// TestOtherSitesChangeNothing has another site send forms, and links that would change something by being followed.
func TestOtherSitesChangeNothing(t *testing.T) {
	t.Parallel()
	w := newWorld("text")
	r := newRig(t, w)
	r.login(t, identity.RoleViewer)
	for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "same-site"}} {
		for _, path := range []string{"/ui/login", "/ui/logout"} {
			if resp, _ := r.post(t, path, url.Values{"token": {"admin"}}, headers...); resp.StatusCode != http.StatusForbidden || len(resp.Cookies()) > 0 {
				t.Errorf("%s with %v: %s", path, headers, resp.Status)
			}
		}
	}
	if resp, _ := r.get(t, "/ui/logout"); resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusSeeOther {
		t.Errorf("logging out by a link: %s", resp.Status)
	}
	if resp, _ := r.get(t, "/ui/"); resp.StatusCode != http.StatusOK {
		t.Errorf("still logged in: %s", resp.Status)
	}
	for next, want := range map[string]string{"/ui/nodes?name=a": "/ui/nodes?name=a", "https://evil.example/ui/": "/ui/", "//evil.example/ui/": "/ui/", "/ui/\\evil": "/ui/",
		"javascript:alert(1)": "/ui/", "/v1/status": "/ui/", "/ui/logout": "/ui/", "": "/ui/"} {
		if got := wanted(next); got != want {
			t.Errorf("after the login %q leads to %q, want %q", next, got, want)
		}
	}
}

// TestHeaders are on every answer, whatever it is.
func TestHeaders(t *testing.T) {
	t.Parallel()
	r := newRig(t, newWorld("text"))
	for _, path := range []string{"/ui/", "/ui/login", "/ui/live", "/ui/static/nothing.js"} {
		resp, _ := r.get(t, path)
		csp := resp.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") || resp.Header.Get("X-Content-Type-Options") != "nosniff" ||
			resp.Header.Get("Cache-Control") != "no-store" && !strings.Contains(path, "static") {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
	_, body := r.get(t, "/ui/login")
	css := body[strings.Index(body, "/ui/static/vigo-"):]
	resp, _ := r.get(t, css[:strings.Index(css, `"`)])
	if resp.StatusCode != http.StatusOK || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("the first file of the login page: %s %v", resp.Status, resp.Header)
	}
}

// TestLinksFromElsewhere are followed in two steps: the cookie is only sent to pages of ours.
func TestLinksFromElsewhere(t *testing.T) {
	t.Parallel()
	r := newRig(t, newWorld("text"))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL+"/ui/nodes/web-1?a=b", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	resp, err := r.browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	found := false
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		found = found || strings.Contains(lines.Text(), `http-equiv="refresh" content="0;url=/ui/nodes/web-1?a=b"`)
	}
	if resp.StatusCode != http.StatusOK || !found {
		t.Errorf("a link from elsewhere: %s", resp.Status)
	}
}

// TestServiceFails shows that, and not why: that is in the log.
func TestServiceFails(t *testing.T) {
	t.Parallel()
	w := newWorld("text")
	r := newRig(t, w)
	r.login(t, identity.RoleViewer)
	w.failing = errors.New("secret of the store")
	if resp, body := r.get(t, "/ui/"); resp.StatusCode != http.StatusInternalServerError || strings.Contains(body, "secret") || !strings.Contains(body, "its log says why") {
		t.Errorf("%s\n%s", resp.Status, body)
	}
}
