package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// Inventory serves people: which nodes there are and what they have.
type Inventory interface {
	// Inventory answers a question; what is wrong with it is [ErrBadRequest].
	Inventory(ctx context.Context, q report.Question) (report.Inventory, error)
	// Questions returns those with a name, sorted.
	Questions(ctx context.Context) ([]report.SavedQuestion, error)
	// PutQuestion keeps a question under its name, in place of another of that name.
	PutQuestion(ctx context.Context, q report.SavedQuestion) error
	// RemoveQuestion forgets one; [ErrNotFound].
	RemoveQuestion(ctx context.Context, name string) error
}

func (s *server) inventory(_ http.ResponseWriter, r *http.Request) (any, error) {
	q, err := query(r)
	if err != nil {
		return nil, err
	}
	v := r.URL.Query()
	return s.Inventory.Inventory(r.Context(), report.Question{Query: q, Where: v.Get("where"), Show: v["show"], Count: v.Get("count"),
		Limit: number(r, "limit", 0, report.MaxFound)})
}

func (s *server) questions(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.Inventory.Questions(r.Context())
}

func (s *server) putQuestion(w http.ResponseWriter, r *http.Request) (any, error) {
	var q report.SavedQuestion
	if err := read(w, r, MaxSmall, &q); err != nil {
		return nil, err
	}
	q.Name = r.PathValue("name")
	if err := identity.CheckName(q.Name); err != nil {
		return nil, Refuse(ErrBadRequest, "%.140q cannot be the name of a question", q.Name)
	}
	q.By = audit.CallerOf(r.Context()).Name
	return nil, s.Inventory.PutQuestion(r.Context(), q)
}

func (s *server) removeQuestion(_ http.ResponseWriter, r *http.Request) (any, error) {
	return nil, s.Inventory.RemoveQuestion(r.Context(), r.PathValue("name"))
}

// Inventory asks which nodes there are and what they have.
func (c *OperatorClient) Inventory(ctx context.Context, q report.Question) (report.Inventory, error) {
	v := values(q.Query)
	for name, value := range map[string]string{"where": q.Where, "count": q.Count} {
		if value != "" {
			v.Set(name, value)
		}
	}
	for _, path := range q.Show {
		v.Add("show", path)
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	var answer report.Inventory
	err := c.do(ctx, http.MethodGet, "/v1/inventory?"+v.Encode(), nil, &answer)
	return answer, err
}

// Questions lists the questions with a name.
func (c *OperatorClient) Questions(ctx context.Context) ([]report.SavedQuestion, error) {
	var list []report.SavedQuestion
	err := c.do(ctx, http.MethodGet, "/v1/questions", nil, &list)
	return list, err
}

// PutQuestion keeps a question under its name.
func (c *OperatorClient) PutQuestion(ctx context.Context, q report.SavedQuestion) error {
	return c.do(ctx, http.MethodPut, "/v1/questions/"+url.PathEscape(q.Name), q, nil)
}

// RemoveQuestion forgets a question; [ErrNotFound].
func (c *OperatorClient) RemoveQuestion(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, "/v1/questions/"+url.PathEscape(name), nil, nil)
}
