package resources

import (
	"fmt"
	"strconv"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// aging compares how long the password lasts, puts what differs into want and returns the differences.
func (u *User) aging(is host.User, fresh bool, want *host.AccountChange) ([]change.Change, error) {
	var changes []change.Change
	for _, f := range []struct {
		field string
		days  *int
		is    string
		to    *string
	}{
		{"password_min_days", u.PasswordMinDays, is.Aging.Min, &want.Aging.Min},
		{"password_max_days", u.PasswordMaxDays, is.Aging.Max, &want.Aging.Max},
		{"password_warn_days", u.PasswordWarnDays, is.Aging.Warn, &want.Aging.Warn},
		{"password_inactive_days", u.PasswordInactiveDays, is.Aging.Inactive, &want.Aging.Inactive},
	} {
		if f.days == nil {
			continue
		}
		if is.Password == host.UnknownPassword {
			return nil, fault.WithHint(fmt.Errorf("reading the aging of user %s: not permitted", u.Name), "run as root")
		}
		now := orWord(f.is, "-1")
		if !fresh && now == strconv.Itoa(*f.days) {
			continue
		}
		if fresh {
			now = change.Absent
		}
		*f.to = strconv.Itoa(*f.days)
		changes = append(changes, change.Of(f.field, now, *f.days))
	}
	return changes, nil
}
