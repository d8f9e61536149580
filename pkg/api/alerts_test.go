package api

import (
	"context"
	"slices"
	"testing"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// board takes everything, and remembers who muted.
type board struct{ by []string }

func (*board) ListAlerts(context.Context) (report.Alerts, error) { return report.Alerts{}, nil }
func (b *board) PutMute(_ context.Context, m report.Mute) (report.Mute, error) {
	b.by = append(b.by, m.By)
	m.ID = "m"
	return m, nil
}
func (*board) RemoveMute(context.Context, string) error                { return nil }
func (*board) TestReceiver(context.Context, string) error              { return ErrUndelivered }
func (*board) PutAlertRules(context.Context, []report.AlertRule) error { return nil }
func (*board) RetryNotice(context.Context, string) error               { return nil }
func (*board) DropNotice(context.Context, string) error                { return nil }
func (*board) DeadNotices(context.Context, int) ([]report.DeadNotice, error) {
	return []report.DeadNotice{}, nil
}

// TestRolesOfAlerts: viewers see, operators mute and test, and only a controller or an admin says what the rules are. Who muted is
// who asked, whatever the body says.
func TestRolesOfAlerts(t *testing.T) {
	t.Parallel()
	b := &board{}
	r := newRigWith(t, func(back *Backend) { back.Alerts, back.DeadNotices = b, b })
	v, o, a, p := identity.RoleViewer, identity.RoleOperator, identity.RoleAdmin, identity.RolePublisher
	for _, c := range []struct {
		what string
		call func(*OperatorClient) error
		may  []identity.Role
	}{
		{"list", func(c *OperatorClient) error { _, err := c.Alerts(t.Context()); return err }, []identity.Role{v, o, a}},
		{"dead", func(c *OperatorClient) error { _, err := c.DeadNotices(t.Context(), 1); return err }, []identity.Role{v, o, a}},
		{"mute", func(c *OperatorClient) error { _, err := c.PutMute(t.Context(), report.Mute{By: "eve"}); return err }, []identity.Role{o, a}},
		{"unmute", func(c *OperatorClient) error { return c.RemoveMute(t.Context(), "m") }, []identity.Role{o, a}},
		{"retry", func(c *OperatorClient) error { return c.RetryNotice(t.Context(), "x") }, []identity.Role{o, a}},
		{"drop", func(c *OperatorClient) error { return c.DropNotice(t.Context(), "x") }, []identity.Role{o, a}},
		{"rules", func(c *OperatorClient) error { return c.PutAlertRules(t.Context(), nil) }, []identity.Role{p, a}},
	} {
		for _, role := range operatorRoles() {
			err := c.call(r.operator(t, role))
			if !slices.Contains(c.may, role) {
				refusedAs(t, c.what+" as "+string(role), err, ErrForbidden)
			} else if err != nil {
				t.Errorf("%s as %s: %v", c.what, role, err)
			}
		}
	}
	refusedAs(t, "a test that does not arrive", r.operator(t, o).TestReceiver(t.Context(), "pager"), ErrUndelivered)
	refusedAs(t, "a test by a viewer", r.operator(t, v).TestReceiver(t.Context(), "pager"), ErrForbidden)
	if slices.Contains(b.by, "eve") || len(b.by) != 2 {
		t.Errorf("muted by %q", b.by)
	}
}
