package host

import "context"

// Below changes what is in a tree that others may write to: no symbolic link below dir is followed, so whoever swaps a
// directory for a link meanwhile leads it nowhere. The name is relative to dir, and clean; a link on the way, or something of
// another kind than was seen, is an error. What is not there any more is none.
type Below interface {
	RemoveBelow(ctx context.Context, dir, name string) error
	// SetAttrBelow sets the mode and owner where given.
	SetAttrBelow(ctx context.Context, dir, name string, kind Kind, a Attr) error
}
