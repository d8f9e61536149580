package host

import "context"

// Below changes what is in a tree that others may write to: no symbolic link below dir is followed, so whoever swaps a
// directory for a link meanwhile leads it nowhere. The name is relative to dir, and clean; a link on the way is an error. What
// is not there any more is none.
type Below interface {
	// RemoveBelow removes a file or an empty directory; with all, a directory and what is in it. Something mounted there
	// stops it.
	RemoveBelow(ctx context.Context, dir, name string, all bool) error
	// SetAttrBelow sets the mode and owner where given. Anything but the very file that was seen is an error.
	SetAttrBelow(ctx context.Context, dir, name string, seen Info, a Attr) error
	// SetXattrBelow sets an extended attribute as [Extended] does, of the very file that was seen.
	SetXattrBelow(ctx context.Context, dir, name string, seen Info, attr string, value []byte) error
}
