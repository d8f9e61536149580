package api

import (
	"context"
	"net/http"
	"net/url"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/report"
)

// Upkeep serves people: nodes that somebody works on, and nodes that are set aside.
type Upkeep interface {
	// ListMaintenance returns the maintenances that are not over.
	ListMaintenance(ctx context.Context) ([]report.MaintenanceStatus, error)
	// BeginMaintenance begins one, now or later, and returns it with its ID.
	BeginMaintenance(ctx context.Context, m report.Maintenance) (report.Maintenance, error)
	// EndMaintenance ends one before its time; [ErrNotFound].
	EndMaintenance(ctx context.Context, id string) error
	// Release lets a node out of quarantine, though what it was put in for may still be so; [ErrNotFound].
	Release(ctx context.Context, node string) error
}

func (s *server) upkeepRoutes() []route {
	return []route{
		{"GET /v1/maintenance", "viewer", "Maintenances that are not over, with what they cover", nil, nil, []report.MaintenanceStatus{}, s.maintenance},
		{"POST /v1/maintenance", "operator", "Begin a maintenance of nodes", nil, report.Maintenance{}, report.Maintenance{}, s.beginMaintenance},
		{"DELETE /v1/maintenance/{id}", "operator", "End a maintenance", nil, nil, nil, s.endMaintenance},
		{"DELETE /v1/nodes/{name}/quarantine", "operator", "Let a node out of quarantine", nil, nil, nil, s.release},
	}
}

func (s *server) maintenance(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.Upkeep.ListMaintenance(r.Context())
}

func (s *server) beginMaintenance(w http.ResponseWriter, r *http.Request) (any, error) {
	var m report.Maintenance
	if err := read(w, r, MaxSmall, &m); err != nil {
		return nil, err
	}
	m.By = audit.CallerOf(r.Context()).Name
	return s.Upkeep.BeginMaintenance(r.Context(), m)
}

func (s *server) endMaintenance(_ http.ResponseWriter, r *http.Request) (any, error) {
	return nil, s.Upkeep.EndMaintenance(r.Context(), r.PathValue("id"))
}

func (s *server) release(_ http.ResponseWriter, r *http.Request) (any, error) {
	return nil, s.Upkeep.Release(r.Context(), r.PathValue("name"))
}

// Release lets a node out of quarantine; [ErrNotFound].
func (c *OperatorClient) Release(ctx context.Context, node string) error {
	return c.do(ctx, http.MethodDelete, "/v1/nodes/"+url.PathEscape(node)+"/quarantine", nil, nil)
}

// Maintenance lists the maintenances that are not over, with what they cover.
func (c *OperatorClient) Maintenance(ctx context.Context) ([]report.MaintenanceStatus, error) {
	var list []report.MaintenanceStatus
	err := c.do(ctx, http.MethodGet, "/v1/maintenance", nil, &list)
	return list, err
}

// BeginMaintenance begins a maintenance, and returns it with its ID.
func (c *OperatorClient) BeginMaintenance(ctx context.Context, m report.Maintenance) (report.Maintenance, error) {
	err := c.do(ctx, http.MethodPost, "/v1/maintenance", m, &m)
	return m, err
}

// EndMaintenance ends a maintenance before its time; [ErrNotFound].
func (c *OperatorClient) EndMaintenance(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/v1/maintenance/"+url.PathEscape(id), nil, nil)
}
