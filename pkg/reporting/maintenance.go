package reporting

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/alert"
	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// maintenanceKey is the note that holds the maintenances.
const maintenanceKey = "maintenance"

// upkeep is what the service knows of maintenances; under its lock.
type upkeep struct {
	list   []*maintenance // sorted by when they were asked for
	active []*maintenance // of list
	next   time.Time      // when active changes
	turn   int            // rises whenever active may have changed
}

// maintenance is a maintenance with its condition.
type maintenance struct {
	report.Maintenance
	cond *expr.Cond // nil: it has none
}

// covered is what is known of a node: the maintenance it is in, as of a turn.
type covered struct {
	turn int
	by   *maintenance
}

// set takes a list over.
func (u *upkeep) set(list []*maintenance) {
	u.list, u.next = list, time.Time{}
	u.turn++
}

// look finds out what goes on now.
func (u *upkeep) look(now time.Time) {
	if now.Before(u.next) {
		return
	}
	u.active, u.next = nil, now.Add(time.Hour)
	u.turn++
	for _, m := range u.list {
		if m.Now(now) {
			u.active = append(u.active, m)
		}
		times := []time.Time{m.From, m.Until}
		if len(m.Window.Spans) > 0 && now.Before(m.Until) {
			times = append(times, now.Truncate(time.Minute).Add(time.Minute)) // windows open and close at minutes
		}
		for _, at := range times {
			if at.After(now) && at.Before(u.next) {
				u.next = at
			}
		}
	}
}

// covers is whether a maintenance is about a node.
func (m *maintenance) covers(n *node) bool {
	if len(m.Nodes) > 0 && !slices.ContainsFunc(m.Nodes, func(glob string) bool { ok, err := path.Match(glob, n.Name); return ok && err == nil }) {
		return false
	}
	if m.cond == nil {
		return true
	}
	vars := map[string]any{"node": n.Name}
	for name, value := range n.labels {
		vars[name] = value
	}
	holds, err := m.cond.Eval(vars)
	return holds && err == nil
}

// maintained is the maintenance a node is in; nil: none. The caller holds the lock of the service.
func (s *Service) maintained(n *node, at report.Presence, now time.Time) *maintenance {
	u := &s.upkeep
	if len(u.list) == 0 {
		return nil
	}
	u.look(now)
	own, hub := s.covered(n), s.nodes[n.account.Last.Hub]
	if hub == nil || alert.MaintainedBy(idOf(own), idOf(s.covered(hub)), silent(at)) == idOf(own) {
		return own
	}
	return s.covered(hub)
}

func (s *Service) covered(n *node) *maintenance {
	u := &s.upkeep
	if n.covered.turn != u.turn {
		n.covered = covered{turn: u.turn}
		for _, m := range u.active {
			if m.covers(n) {
				n.covered.by = m
				break
			}
		}
	}
	return n.covered.by
}

func idOf(m *maintenance) string {
	if m == nil {
		return ""
	}
	return m.ID
}

// told is a maintenance as people are told of it.
func (m *maintenance) told() *report.Maintenance {
	if m == nil {
		return nil
	}
	return &m.Maintenance
}

// readMaintenance takes over what the store holds.
func (s *Service) readMaintenance(ctx context.Context) error {
	var kept []report.Maintenance
	if err := s.DB.Note(ctx, maintenanceKey, &kept); err != nil && !errors.Is(err, sqlstore.ErrNotFound) {
		return err
	}
	schema := s.labelSchema()
	list := make([]*maintenance, 0, len(kept))
	for _, m := range kept {
		one := &maintenance{Maintenance: m}
		if m.Where != "" {
			var err error
			if one.cond, err = expr.Compile(m.Where, schema); err != nil { // the last node with such a label has gone
				s.Log.Warn("a maintenance covers nothing: its condition cannot be read", "id", m.ID, "err", err)
				continue
			}
		}
		list = append(list, one)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.upkeep.set(list)
	return nil
}

// labelSchema knows the labels that nodes have.
func (s *Service) labelSchema() *expr.Schema {
	schema := expr.NewSchema()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.nodes {
		for name := range n.labels {
			schema.Label(name)
		}
	}
	return schema
}

// ListMaintenance implements api.Upkeep.
func (s *Service) ListMaintenance(context.Context) ([]report.MaintenanceStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.maintenances(s.Now()), nil
}

// maintenances are those that are not over. The caller holds the lock of the service.
func (s *Service) maintenances(now time.Time) []report.MaintenanceStatus {
	list := []report.MaintenanceStatus{}
	at := map[string]int{}
	for _, m := range s.upkeep.list {
		if now.Before(m.Until) {
			at[m.ID] = len(list)
			list = append(list, report.MaintenanceStatus{Maintenance: m.Maintenance})
		}
	}
	for _, n := range s.nodes {
		if !n.Retired.IsZero() || len(list) == 0 {
			continue
		}
		presence := s.presence(n, now)
		m := s.maintained(n, presence, now)
		if m == nil {
			continue
		}
		tally := &list[at[m.ID]]
		tally.Covers++
		if silent(presence) {
			tally.Silent++
		}
		if n.account.State == report.ComplianceFailed || n.account.State == report.ComplianceDrift {
			tally.Failing++
		}
	}
	return list
}

// BeginMaintenance implements api.Upkeep.
func (s *Service) BeginMaintenance(ctx context.Context, m report.Maintenance) (report.Maintenance, error) {
	now := s.Now().UTC()
	if m.From.Before(now) {
		m.From = now
	}
	if err := s.checkMaintenance(m, now); err != nil {
		return m, err
	}
	m.ID, m.At, m.From, m.Until = strings.ToLower(rand.Text()[:8]), now, m.From.UTC(), m.Until.UTC()
	detail := map[string]string{"nodes": strings.Join(m.Nodes, " "), "where": m.Where, "reason": m.Reason, "from": m.From.Format(time.RFC3339), "until": m.Until.Format(time.RFC3339)}
	if len(m.Window.Spans) > 0 {
		detail["window"] = m.Window.String()
	}
	return m, s.changeMaintenance(ctx, audit.By(ctx, audit.MaintenanceBegun, m.ID, detail), func(list []report.Maintenance) ([]report.Maintenance, error) {
		if len(list) >= report.MaxMaintenance {
			return nil, api.Refuse(api.ErrTooLarge, "there are %d maintenances already, at most %d", len(list), report.MaxMaintenance)
		}
		return append(list, m), nil
	})
}

func (s *Service) checkMaintenance(m report.Maintenance, now time.Time) error {
	for _, glob := range m.Nodes {
		if _, err := path.Match(glob, "a"); err != nil || glob == "" || len(glob) > 300 {
			return api.Refuse(api.ErrBadRequest, "%.140q is not a pattern of names", glob)
		}
	}
	switch {
	case len(m.Nodes) == 0 && m.Where == "":
		return api.Refuse(api.ErrBadRequest, "a maintenance names nodes, or a condition: * is all of them")
	case len(m.Nodes) > 1000:
		return api.Refuse(api.ErrTooLarge, "a maintenance names at most 1000 patterns; a condition over labels names any number of nodes")
	case strings.TrimSpace(m.Reason) == "" || len(m.Reason) > 1000:
		return api.Refuse(api.ErrBadRequest, "a maintenance needs a reason, of at most 1000 bytes")
	case !m.Until.After(m.From) || m.Until.After(now.Add(longest(m))):
		return api.Refuse(api.ErrBadRequest, "a maintenance ends after it begins, and within %d days", longest(m)/(24*time.Hour))
	}
	if err := checkHours(m.Window); err != nil || m.Where == "" {
		return err
	}
	cond, err := expr.Compile(m.Where, s.labelSchema())
	if err != nil {
		return asRefusal(err)
	}
	if !cond.LabelsOnly() {
		return api.Refuse(api.ErrBadRequest, "the condition of a maintenance is over labels and the name alone: a node cannot put itself into one")
	}
	return nil
}

// EndMaintenance implements api.Upkeep.
func (s *Service) EndMaintenance(ctx context.Context, id string) error {
	return s.changeMaintenance(ctx, audit.By(ctx, audit.MaintenanceEnded, id, nil), func(list []report.Maintenance) ([]report.Maintenance, error) {
		rest := slices.DeleteFunc(slices.Clone(list), func(m report.Maintenance) bool { return m.ID == id })
		if len(rest) == len(list) {
			return nil, api.Refuse(api.ErrNotFound, "there is no maintenance %.40q", id)
		}
		return rest, nil
	})
}

// changeMaintenance changes the newest list there is, without those that are over.
func (s *Service) changeMaintenance(ctx context.Context, act audit.Entry, change func([]report.Maintenance) ([]report.Maintenance, error)) error {
	if err := s.Refresh(ctx); err != nil {
		return kept(err)
	}
	s.alerts.mu.Lock()
	defer s.alerts.mu.Unlock()
	now := s.Now()
	list := []report.Maintenance{}
	s.mu.Lock()
	for _, m := range s.upkeep.list {
		if now.Before(m.Until) {
			list = append(list, m.Maintenance)
		}
	}
	s.mu.Unlock()
	list, err := change(list)
	if err != nil {
		return err
	}
	if err := s.DB.PutNoteOf(ctx, maintenanceKey, list, now, []audit.Entry{act}); err != nil {
		return kept(err)
	}
	s.alerts.next = time.Time{}
	if err := s.readMaintenance(ctx); err != nil {
		return kept(fmt.Errorf("reading maintenances: %w", err))
	}
	return nil
}
