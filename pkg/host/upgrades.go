package host

import (
	"context"
	"time"
)

// Upgrades is the package manager of a machine, asked for all packages at once.
type Upgrades interface {
	// Pending returns what Upgrade would do now, as far as the package lists that are on the machine tell, sorted by
	// name. What the package manager cannot tell, such as which upgrades are for security, is
	// [errors.ErrUnsupported].
	Pending(ctx context.Context, s UpgradeScope) ([]Upgrade, error)
	// Upgrade upgrades what the scope allows, in one transaction. A package that is held stays as it is.
	Upgrade(ctx context.Context, s UpgradeScope) error
	// Fetched returns when the package lists that are on the machine were fetched; ErrNotFound if none are.
	Fetched(ctx context.Context) (time.Time, error)
}

// An UpgradeScope says what may be upgraded. The zero one allows all that takes no other package away.
type UpgradeScope struct {
	Security   bool     // only what repairs a known weakness
	Exclude    []string // names and patterns of [path.Match] of installed packages that stay at their version
	Autoremove bool     // remove what was installed for other packages alone, and none needs any more
}

// An Upgrade is what becomes of one package.
type Upgrade struct {
	Name string
	From string // empty: it is new, for another one needs it
	To   string // empty: it is removed
}
