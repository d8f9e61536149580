package dashboard

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// world is a fleet in memory; Text stands wherever somebody else decides what is written.
type world struct {
	text string

	mu       sync.Mutex
	nodes    []report.NodeStatus
	tokens   map[string]api.AccessToken
	refused  []string
	question report.Question
	failing  error
	rolling  string // how far a rollout is
	provider provider
}

func newWorld(text string) *world {
	w := &world{text: text, tokens: map[string]api.AccessToken{}}
	for _, role := range []identity.Role{identity.RoleViewer, identity.RoleOperator, identity.RoleAdmin, identity.RolePublisher} {
		w.tokens[string(role)] = api.AccessToken{ID: string(role), Operator: text, Role: role, Kind: "operator"}
	}
	for i, p := range []report.Presence{report.Live, report.Late, report.Stale, report.Missing} {
		c := []report.Compliance{report.ComplianceOK, report.ComplianceDrift, report.ComplianceFailed, report.ComplianceChanged}[i]
		w.nodes = append(w.nodes, report.NodeStatus{Name: string(p) + text, Channel: text, Labels: map[string]string{text: text}, Presence: p, Compliance: c,
			Seen: noon.Add(-time.Duration(i) * time.Hour), Digest: report.DigestBehind, Bundle: text, Commit: text, Pointer: text, Agent: text, Hub: text, Reason: text,
			Failing: i, Refusals: []report.Refusal{{Name: text, Detail: text, What: text, Count: 2}}})
	}
	w.nodes[1].Quarantine = &report.Quarantine{Rule: text, Since: noon.Add(-time.Hour), Text: text, Until: report.UntilReleased}
	w.nodes[3].Maintenance = &report.Maintenance{ID: text, By: text, Reason: text, Until: noon.Add(time.Hour)}
	return w
}

func (w *world) Status(context.Context, int) (report.Status, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	st := report.Status{Fleet: "acme", Now: noon, Reboots: report.RebootCounts{Now: 1, Waiting: 2},
		Maintenance: []report.MaintenanceStatus{{Maintenance: report.Maintenance{By: w.text, Reason: w.text, Until: noon.Add(time.Hour)}, Covers: 2, Silent: 1, Failing: 1}}, Worst: []report.Worst{{Module: w.text, Nodes: 3}},
		Channels: []report.Channel{{ChannelNote: report.ChannelNote{Channel: w.text, Pointer: w.text, Digest: w.text, Commit: w.text, From: w.text, Error: w.text, Rollout: w.text + w.rolling, Modes: []report.Mode{{Name: w.text, On: true, Ordered: noon, Note: w.text}, {Name: "quiet"}},
			Candidate: w.text, Rewritten: w.text, Approvals: []string{w.text}, Waiting: &report.Waiting{Digest: w.text, Commit: w.text, Note: w.text, Reason: w.text, Needs: 2}}, Nodes: 4, Cur: 3}},
		Hubs: []report.HubStatus{{Name: w.text, Presence: report.Stale, Version: w.text, Trouble: w.text, Mirrors: map[string]string{w.text: w.text}}}}
	for _, n := range w.nodes {
		st.Presences.Add(n.Presence)
		st.Compliances.Add(n.Compliance)
		if len(st.Problems) < 10 {
			st.Problems = append(st.Problems, report.Problem{Kind: string(n.Presence) + w.text, Node: n.Name, Channel: w.text, Text: w.text, Commit: w.text, Count: 2})
		}
	}
	st.ProblemCount = len(st.Problems)
	return st, w.failing
}

func (w *world) Nodes(_ context.Context, q report.Query) ([]report.NodeStatus, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []report.NodeStatus
	for _, n := range w.nodes {
		if q.Matches(n) {
			list = append(list, n)
		}
	}
	return list, nil
}

func (w *world) Node(_ context.Context, name string) (report.NodeDetail, error) {
	for _, n := range w.nodes {
		if n.Name == name {
			run := report.Run{ID: w.text, Bundle: w.text, Commit: w.text, Error: w.text, Took: time.Second, Counts: report.Counts{Failed: 1}, Results: []report.Result{
				{ID: w.text, Outcome: report.Outcome(w.text), Reason: w.text, Refresh: w.text, Guard: w.text, Changes: []change.Change{
					{Field: w.text, From: w.text, To: w.text}, {Field: w.text, Diff: "-" + w.text + "\n+" + w.text + "\n@@ " + w.text + "\n " + w.text}}}}}
			return report.NodeDetail{NodeStatus: n, Token: w.text, Key: w.text, Boot: w.text, Runs: []report.Run{run, run}, Events: []report.Event{{Kind: w.text, Text: w.text}}}, nil
		}
	}
	return report.NodeDetail{}, fault.WithHint(api.Refuse(api.ErrNotFound, "there is no node %q", name), `did you mean "web-1"?`)
}

func (w *world) Traits(_ context.Context, q report.Query, _ string) ([]report.Traits, error) {
	return []report.Traits{{Node: q.Name, Traits: map[string]any{w.text: map[string]any{w.text: w.text, "list": []any{w.text, map[string]any{"a": w.text}}}, "bare": w.text}}}, nil
}

func (w *world) Events(context.Context, int) ([]report.Event, error) {
	return []report.Event{{Kind: w.text, Node: w.text, Text: w.text}, {Kind: "node.back", Node: "web-1", Text: "back"}}, nil
}

func (w *world) Inventory(_ context.Context, q report.Question) (report.Inventory, error) {
	w.question = q
	if q.Where == "broken" {
		return report.Inventory{}, api.Refuse(api.ErrBadRequest, "unknown name %s", w.text)
	}
	if q.Count != "" {
		return report.Inventory{Matched: 4, Counts: []report.ValueCount{{Value: w.text, Nodes: 3}, {Value: nil, Nodes: 1}}}, nil
	}
	return report.Inventory{Matched: 1, Show: q.Show, Nodes: []report.Found{{Node: w.text, Presence: report.Live, Values: []any{w.text, map[string]any{"a": w.text}}}}}, nil
}

func (w *world) Controls(_ context.Context, control string) (report.Controls, error) {
	one := report.Control{Name: w.text, Nodes: 5, OK: 1, Failed: 1, Drift: 1, Skipped: 1, Unknown: 1, Silent: 2}
	switch control {
	case "":
		return report.Controls{Controls: []report.Control{{Name: "met", Nodes: 3, OK: 3}, one}, Of: 5}, nil
	case w.text:
		list := report.Controls{Controls: []report.Control{one}, Of: 5}
		for i, state := range report.ControlStates() {
			list.Nodes = append(list.Nodes, report.ControlNode{Node: w.nodes[min(i, 3)].Name, State: state, Presence: report.Live, Resources: []string{w.text}})
		}
		return list, nil
	}
	return report.Controls{}, nil
}

func (w *world) Questions(context.Context) ([]report.SavedQuestion, error) {
	return []report.SavedQuestion{{Name: w.text, Note: w.text, By: w.text, Where: w.text, Show: []string{w.text}}}, nil
}
func (w *world) PutQuestion(context.Context, report.SavedQuestion) error { return nil }
func (w *world) RemoveQuestion(context.Context, string) error            { return nil }

func (w *world) ListAlerts(context.Context) (report.Alerts, error) {
	return report.Alerts{
		Alerts: []report.Alert{{Rule: w.text, Group: w.text, Severity: "warning", State: w.text, Count: 7, Findings: []report.Finding{{Subject: w.text, Text: w.text}}},
			{Rule: w.text, Group: w.text, Severity: "critical", State: "firing", Muted: w.text, Inhibited: w.text}, {Rule: "first", Severity: "warning", State: "firing"}},
		Mutes: []report.Mute{{ID: w.text, Rule: w.text, Group: w.text, Reason: w.text, By: w.text}}, Rules: []report.AlertRule{{Name: w.text, About: w.text, Where: w.text, Event: w.text}},
		Receivers: []report.AlertReceiver{{Name: w.text, Kind: w.text, Error: w.text}}, Problems: []string{w.text}}, nil
}
func (w *world) PutMute(_ context.Context, m report.Mute) (report.Mute, error) { return m, nil }
func (w *world) RemoveMute(context.Context, string) error                      { return nil }
func (w *world) TestReceiver(context.Context, string) error                    { return nil }
func (w *world) PutAlertRules(context.Context, []report.AlertRule) error       { return nil }

func (w *world) DeadNotices(context.Context, int) ([]report.DeadNotice, error) {
	return []report.DeadNotice{{Notice: report.Notice{ID: w.text, Transitions: []report.Transition{{Rule: w.text, Kind: w.text}}}, To: w.text, Error: w.text}}, nil
}
func (w *world) RetryNotice(context.Context, string) error { return nil }
func (w *world) DropNotice(context.Context, string) error  { return nil }

func (w *world) Audit(context.Context, audit.Query) (audit.Page, error) {
	return audit.Page{Entries: []audit.Entry{{Seq: 1, Actor: w.text, Role: w.text, Act: w.text, Object: w.text, Address: w.text, Detail: map[string]string{w.text: w.text}}}}, nil
}

func (w *world) Refused(_ audit.Caller, route, code, _ string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused = append(w.refused, route+" "+code)
}

func (w *world) OpenSession(_ context.Context, token string) (api.AccessAnswer, error) {
	t, err := w.AccessToken(token)
	if err != nil || t.Role == identity.RolePublisher {
		return api.AccessAnswer{}, cmp.Or(err, error(api.ErrForbidden))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t.ID, t.Kind = "session of "+token, "session"
	w.tokens[t.ID] = t
	return api.AccessAnswer{AccessToken: t, Token: t.ID}, nil
}

func (w *world) LoginOffer() (api.LoginOffer, error) { return api.LoginOffer{}, nil }

// Login takes the role for an ID token.
func (w *world) Login(_ context.Context, idToken string) (api.AccessAnswer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t, ok := w.tokens[idToken]
	if !ok {
		return api.AccessAnswer{}, api.Refuse(api.ErrForbidden, "no rule for %s", w.text)
	}
	t.ID, t.Kind = "login of "+idToken, "login"
	w.tokens[t.ID] = t
	return api.AccessAnswer{AccessToken: t, Token: t.ID}, nil
}

func (w *world) Operator(token string) (api.Operator, error) {
	t, err := w.AccessToken(token)
	return api.Operator{Name: t.Operator, Role: t.Role}, err
}

func (w *world) AccessToken(token string) (api.AccessToken, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t, ok := w.tokens[token]
	if !ok {
		return t, api.ErrUnauthorized
	}
	return t, nil
}

func (w *world) RevokeAccess(_ context.Context, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.tokens, id)
	return nil
}

func (w *world) Admit(string, string) error { return nil }

// A rig is a dashboard of a world behind TLS, and a browser that keeps cookies.
type rig struct {
	*world
	*httptest.Server
	browser *http.Client
}

func newRig(t *testing.T, w *world) *rig {
	t.Helper()
	d, err := New(Config{Fleet: "acme", Operators: w, Inventory: w, Compliance: w, Alerts: w, Rollouts: w, Dead: w, Auditor: w, Door: w, Logins: w, SignIn: &w.provider, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); d.Run(ctx) }()
	r := &rig{world: w, Server: httptest.NewTLSServer(d.Handler())}
	t.Cleanup(func() { cancel(); <-ended; r.Close() })
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.browser = &http.Client{Transport: r.Client().Transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return r
}

// get returns an answer and its body.
func (r *rig) get(t *testing.T, path string) (*http.Response, string) {
	t.Helper()
	resp, err := r.browser.Get(r.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp, string(body)
}

// post sends a form as our own page does, or with headers a page elsewhere would have.
func (r *rig) post(t *testing.T, path string, form url.Values, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(form.Encode())), int64(len(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := r.browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp, string(body)
}

// login logs in as somebody of a role.
func (r *rig) login(t *testing.T, role identity.Role) {
	t.Helper()
	if resp, body := r.post(t, "/ui/login", url.Values{"token": {string(role)}}); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("logging in as %s: %s\n%s", role, resp.Status, body)
	}
}
