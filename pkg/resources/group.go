package resources

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Group is a local group of users.
//
//	resources:
//	  - group: ops
//	    gid: 2100
//	    members: [alice, bob]
type Group struct {
	// Name of the group.
	Name string `vigo:"identity"`

	// Ensure says whether the group should be present (the default) or absent.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// GID is the number of the group. If unset, the system chooses one.
	GID *int `yaml:"gid"`

	// Members are users that must be members. To say it at the user instead, use the groups of user.
	Members []string `yaml:"members"`

	// MembersOnly makes members the whole list: all others are taken out.
	MembersOnly bool `yaml:"members_only"`

	// System takes the number of a new group from the range of system accounts.
	System bool `yaml:"system"`
}

var (
	_ resource.Validator = (*Group)(nil)
	_ resource.Requirer  = (*Group)(nil)
)

// Validate implements [resource.Validator].
func (g *Group) Validate() error {
	if err := accountName("group", g.Name); err != nil {
		return err
	}
	for _, m := range g.Members {
		if err := accountName("user", m); err != nil {
			return fmt.Errorf("members: %w", err)
		}
	}
	if g.GID != nil && *g.GID < 0 {
		return fmt.Errorf("gid: %d is negative", *g.GID)
	}
	if g.Ensure == "absent" && g.Name == "root" {
		return errors.New("the group root cannot be removed")
	}
	return nil
}

// Requires implements [resource.Requirer]: members must exist.
func (g *Group) Requires() []resource.ID {
	var ids []resource.ID
	for _, m := range g.Members {
		ids = append(ids, resource.ID{Type: "user", Name: m})
	}
	return ids
}

// Plan implements [resource.Resource].
func (g *Group) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var plan resource.Plan
	is, err := h.Accounts.Group(ctx, g.Name)
	exists := err == nil
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return plan, err
	}
	if g.Ensure == "absent" {
		if exists {
			drop := host.AccountDrop{Group: g.Name}
			plan.Do(func(ctx context.Context) error { return h.Accounts.Drop(ctx, drop) }, change.Of("ensure", "present", change.Absent))
		}
		return plan, nil
	}
	want := host.AccountChange{Group: g.Name, System: g.System}
	var changes []change.Change
	var gid any = is.GID
	if !exists {
		gid = change.Absent
		changes = append(changes, change.Of("ensure", change.Absent, "present"))
	}
	if g.GID != nil && (!exists || is.GID != *g.GID) {
		want.GID = g.GID
		changes = append(changes, change.Of("gid", gid, *g.GID))
	}
	members := slices.Clone(g.Members)
	if !g.MembersOnly {
		members = append(members, is.Members...)
	}
	slices.Sort(members)
	if members = slices.Compact(members); !slices.Equal(members, is.Members) {
		want.Members = &members
		changes = append(changes, change.Of("members", accountList(is.Members), accountList(members)))
	}
	if len(changes) > 0 {
		plan.Do(func(ctx context.Context) error { return h.Accounts.Put(ctx, want) }, changes...)
	}
	return plan, nil
}
