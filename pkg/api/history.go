package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"vigo.dev/pkg/report"
)

// History serves people: what has changed.
type History interface {
	// History returns what changed and drifted on nodes, newest first; [ErrNotFound], and what is wrong with a question is
	// [ErrBadRequest].
	History(ctx context.Context, q report.HistoryQuery) (report.History, error)
	// TraitChanges returns which values that nodes say of themselves are others than they were.
	TraitChanges(ctx context.Context, q report.ChangeQuestion) (report.TraitChanges, error)
}

func (s *server) historyRoutes() []route {
	return []route{
		{"GET /v1/history", "viewer", "What changed and drifted on nodes, newest first", []param{
			{name: "node", about: "name of a node"}, {name: "resource", about: "TYPE:NAME or MODULE/TYPE:NAME, or a glob of that"},
			{name: "since", about: "time of RFC 3339"}, {name: "before", about: "next of the page before"},
			{name: "limit", about: "entries, at most 1000"}}, nil, report.History{}, s.history},
		{"GET /v1/changes", "viewer", "Which values that nodes say of themselves are others than they were", nodeFilters(
			param{name: "where", about: "condition over labels and traits as they are now"}, param{name: "since", about: "time of RFC 3339"},
			param{name: "trait", about: "name of a trait"}, param{name: "limit", about: "values, at most 10000"}), nil, report.TraitChanges{}, s.changes},
	}
}

// moment reads a time; none is the zero time.
func moment(r *http.Request, name string) (time.Time, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, Refuse(ErrBadRequest, "%s: %.60q is not a time of RFC 3339", name, text)
	}
	return at, nil
}

func (s *server) history(_ http.ResponseWriter, r *http.Request) (any, error) {
	since, err := moment(r, "since")
	if err != nil {
		return nil, err
	}
	v := r.URL.Query()
	return s.History.History(r.Context(), report.HistoryQuery{Node: v.Get("node"), Resource: v.Get("resource"), Since: since, Before: v.Get("before"),
		Limit: number(r, "limit", 0, report.MaxHistory)})
}

func (s *server) changes(_ http.ResponseWriter, r *http.Request) (any, error) {
	since, err := moment(r, "since")
	if err != nil {
		return nil, err
	}
	q, err := query(r)
	if err != nil {
		return nil, err
	}
	v := r.URL.Query()
	return s.History.TraitChanges(r.Context(), report.ChangeQuestion{Query: q, Where: v.Get("where"), Since: since, Trait: v.Get("trait"),
		Limit: number(r, "limit", 0, report.MaxMoves)})
}

// History asks what changed and drifted on nodes.
func (c *OperatorClient) History(ctx context.Context, q report.HistoryQuery) (report.History, error) {
	v := url.Values{}
	set(v, "node", q.Node)
	set(v, "resource", q.Resource)
	set(v, "before", q.Before)
	ask(v, q.Since, q.Limit)
	var h report.History
	err := c.do(ctx, http.MethodGet, "/v1/history?"+v.Encode(), nil, &h)
	return h, err
}

// TraitChanges asks which values that nodes say of themselves are others than they were.
func (c *OperatorClient) TraitChanges(ctx context.Context, q report.ChangeQuestion) (report.TraitChanges, error) {
	v := values(q.Query)
	set(v, "where", q.Where)
	set(v, "trait", q.Trait)
	ask(v, q.Since, q.Limit)
	var answer report.TraitChanges
	err := c.do(ctx, http.MethodGet, "/v1/changes?"+v.Encode(), nil, &answer)
	return answer, err
}

func set(v url.Values, name, value string) {
	if value != "" {
		v.Set(name, value)
	}
}

func ask(v url.Values, since time.Time, limit int) {
	if !since.IsZero() {
		v.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	if limit > 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
}
