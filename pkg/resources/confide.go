package resources

import (
	"errors"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/resource"
)

var _ resource.Confidant = (*File)(nil)

// Confide implements [resource.Confidant]: a new file is for its owner alone unless the policy says otherwise, and no copy of
// the old content is kept.
func (f *File) Confide() error {
	if f.Backup != "" || f.Backups > 0 {
		return fault.WithHint(errors.New("a file that holds secrets has no backup: it would keep the old ones in clear"), "leave backup: and backups: out")
	}
	if f.Mode == nil && f.Ensure != "absent" {
		f.fresh = 0o600
	}
	return nil
}
