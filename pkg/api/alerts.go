package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/report"
)

// Alerts serves people: what they are told, and what not. Rules come from controllers.
type Alerts interface {
	// ListAlerts returns what is not over, with mutes, rules and receivers.
	ListAlerts(ctx context.Context) (report.Alerts, error)
	// PutMute begins a mute and returns it with its ID.
	PutMute(ctx context.Context, m report.Mute) (report.Mute, error)
	// RemoveMute ends one; [ErrNotFound].
	RemoveMute(ctx context.Context, id string) error
	// TestReceiver sends a notice that says it is a test, and returns after the receiver has taken it; [ErrUndelivered].
	TestReceiver(ctx context.Context, name string) error
	// PutAlertRules takes all rules of the repository; none: those of the program are in force.
	PutAlertRules(ctx context.Context, rules []report.AlertRule) error
}

// DeadNotices serves people: what could not be delivered.
type DeadNotices interface {
	// DeadNotices returns what was given up, newest first.
	DeadNotices(ctx context.Context, limit int) ([]report.DeadNotice, error)
	// RetryNotice has one tried again from the beginning; [ErrNotFound].
	RetryNotice(ctx context.Context, id string) error
	// DropNotice forgets one; [ErrNotFound].
	DropNotice(ctx context.Context, id string) error
}

// AlertRulesRequest is all rules of alerts of a repository; at most [report.MaxAlertRules].
type AlertRulesRequest struct {
	Rules []report.AlertRule `json:"rules"`
}

// alertRoutes are about what people are told.
func (s *server) alertRoutes() []route {
	return []route{
		{"GET /v1/alerts", "viewer", "Alerts that are not over, mutes, rules and receivers", nil, nil, report.Alerts{}, s.alerts},
		{"PUT /v1/alerts/rules", "publisher", "Take the rules of alerts of the repository", nil, AlertRulesRequest{}, nil, s.putAlertRules},
		{"POST /v1/mutes", "operator", "Mute alerts for a time", nil, report.Mute{}, report.Mute{}, s.putMute},
		{"DELETE /v1/mutes/{id}", "operator", "End a mute", nil, nil, nil, s.removeMute},
		{"POST /v1/receivers/{name}/test", "operator", "Send a receiver of alerts a test", nil, nil, nil, s.testReceiver},
		{"GET /v1/notices/dead", "viewer", "Notices that could not be delivered, newest first", []param{{name: "limit", about: "at most 10000"}}, nil, []report.DeadNotice{}, s.deadNotices},
		{"POST /v1/notices/dead/{id}", "operator", "Try to deliver a notice again", nil, nil, nil, s.retryNotice},
		{"DELETE /v1/notices/dead/{id}", "operator", "Forget a notice that could not be delivered", nil, nil, nil, s.dropNotice},
	}
}

func (s *server) alerts(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.Alerts.ListAlerts(r.Context())
}

func (s *server) putAlertRules(w http.ResponseWriter, r *http.Request) (any, error) {
	var req AlertRulesRequest
	if err := read(w, r, MaxNotes, &req); err != nil {
		return nil, err
	}
	return nil, s.Alerts.PutAlertRules(r.Context(), req.Rules)
}

func (s *server) putMute(w http.ResponseWriter, r *http.Request) (any, error) {
	var m report.Mute
	if err := read(w, r, MaxSmall, &m); err != nil {
		return nil, err
	}
	m.By = audit.CallerOf(r.Context()).Name
	return s.Alerts.PutMute(r.Context(), m)
}

func (s *server) removeMute(_ http.ResponseWriter, r *http.Request) (any, error) {
	return nil, s.Alerts.RemoveMute(r.Context(), r.PathValue("id"))
}

func (s *server) testReceiver(_ http.ResponseWriter, r *http.Request) (any, error) {
	return nil, s.Alerts.TestReceiver(r.Context(), r.PathValue("name"))
}

func (s *server) deadNotices(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.DeadNotices.DeadNotices(r.Context(), number(r, "limit", 100, 10000))
}

func (s *server) retryNotice(_ http.ResponseWriter, r *http.Request) (any, error) {
	return nil, s.DeadNotices.RetryNotice(r.Context(), r.PathValue("id"))
}

func (s *server) dropNotice(_ http.ResponseWriter, r *http.Request) (any, error) {
	return nil, s.DeadNotices.DropNotice(r.Context(), r.PathValue("id"))
}

// Alerts lists the alerts that are not over, with mutes, rules and receivers.
func (c *OperatorClient) Alerts(ctx context.Context) (report.Alerts, error) {
	var list report.Alerts
	err := c.do(ctx, http.MethodGet, "/v1/alerts", nil, &list)
	return list, err
}

// PutAlertRules tells all rules of alerts of a repository.
func (c *OperatorClient) PutAlertRules(ctx context.Context, rules []report.AlertRule) error {
	return c.do(ctx, http.MethodPut, "/v1/alerts/rules", AlertRulesRequest{rules}, nil)
}

// PutMute begins a mute, and returns it with its ID.
func (c *OperatorClient) PutMute(ctx context.Context, m report.Mute) (report.Mute, error) {
	err := c.do(ctx, http.MethodPost, "/v1/mutes", m, &m)
	return m, err
}

// RemoveMute ends a mute; [ErrNotFound].
func (c *OperatorClient) RemoveMute(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/v1/mutes/"+url.PathEscape(id), nil, nil)
}

// TestReceiver has a receiver sent a test; [ErrUndelivered] says why it did not take it.
func (c *OperatorClient) TestReceiver(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodPost, "/v1/receivers/"+url.PathEscape(name)+"/test", struct{}{}, nil)
}

// DeadNotices lists the notices that could not be delivered, newest first.
func (c *OperatorClient) DeadNotices(ctx context.Context, limit int) ([]report.DeadNotice, error) {
	var list []report.DeadNotice
	err := c.do(ctx, http.MethodGet, "/v1/notices/dead?limit="+strconv.Itoa(limit), nil, &list)
	return list, err
}

// RetryNotice has a notice tried again; [ErrNotFound].
func (c *OperatorClient) RetryNotice(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, "/v1/notices/dead/"+url.PathEscape(id), struct{}{}, nil)
}

// DropNotice forgets a notice that could not be delivered; [ErrNotFound].
func (c *OperatorClient) DropNotice(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/v1/notices/dead/"+url.PathEscape(id), nil, nil)
}
