package host

import "context"

// Accounts is the local user and group database of a machine.
type Accounts interface {
	User(ctx context.Context, name string) (User, error)   // ErrNotFound if there is none
	Group(ctx context.Context, name string) (Group, error) // ErrNotFound if there is none
	All(ctx context.Context) ([]User, []Group, error)
	// Put creates the user or group, or changes it to be so.
	Put(ctx context.Context, c AccountChange) error
	// Drop removes a user or group; what is not there is no error.
	Drop(ctx context.Context, c AccountDrop) error
}

// A User is one local user.
type User struct {
	Name     string
	UID, GID int
	Comment  string
	Home     string
	Shell    string
	Groups   []string // supplementary groups, sorted
	Password string   // hash as in shadow(5), secret; UnknownPassword if it may not be read
	Expires  string   // date 2006-01-02; empty: never
	Aging    Aging    // of the password; empty if it may not be read
}

// Aging is how long a password lasts, in days as shadow(5) has them; empty: not set.
type Aging struct {
	Min      string // before it may be changed again
	Max      string // before it must be changed
	Warn     string // that one is warned before that
	Inactive string // that one may still log in, and change it, after that
}

// With returns what aging is after a change of it: what is empty there is left alone, "-1" takes a limit away.
func (a Aging) With(change Aging) Aging {
	for _, f := range []struct {
		is *string
		to string
	}{{&a.Min, change.Min}, {&a.Max, change.Max}, {&a.Warn, change.Warn}, {&a.Inactive, change.Inactive}} {
		switch f.to {
		case "":
		case "-1":
			*f.is = ""
		default:
			*f.is = f.to
		}
	}
	return a
}

// UnknownPassword stands for a password hash that could not be read for want of privileges. It is no valid hash.
const UnknownPassword = "(unknown)"

// A Group is one local group.
type Group struct {
	Name    string
	GID     int
	Members []string // sorted
}

// An AccountChange creates or changes one user or one group: exactly one of User and Group is set. Fields that are
// nil are left alone, or chosen by the system when the account is created.
type AccountChange struct {
	User     string
	Group    string
	UID, GID *int
	Primary  *string // name or number of the primary group
	Comment  *string
	Home     *string
	Shell    *string
	Groups   *[]string // supplementary groups, exactly these
	Members  *[]string // members of a group, exactly these
	Password *string   // hash
	Expires  *string
	Aging    Aging // what is empty is left alone; "-1" takes a limit away
	System   bool  // choose a number from the system range when creating
	MakeHome bool  // create the home directory when creating
}

// An AccountDrop removes one user or one group.
type AccountDrop struct {
	User       string
	Group      string
	RemoveHome bool
}
