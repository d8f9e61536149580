package resources

import (
	"context"
	"fmt"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// planSSHDir makes or corrects ~/.ssh. It is the user's to write to, so a link in its place is refused: through it the
// user could have the keys written anywhere.
func planSSHDir(ctx context.Context, h *host.Host, p *resource.Plan, dir string, owner attributes, absent bool) error {
	is, err := look(h, dir)
	if err != nil || is == nil && absent {
		return err
	}
	owner.Mode = &resource.Mode{Perm: 0o700}
	attr, err := owner.resolve(ctx, h)
	if err != nil {
		return err
	}
	if is == nil {
		p.Do(func(ctx context.Context) error { return h.FS.MakeDir(ctx, dir, attr) },
			change.Of("directory", change.Absent, dir))
		return nil
	}
	if is.Kind != host.Dir {
		return fmt.Errorf("%s is a %s, not a directory", dir, is.Kind)
	}
	if changes := owner.changes(ctx, h, *is, attr); len(changes) > 0 && !absent {
		for i := range changes {
			changes[i].Field = "directory " + changes[i].Field
		}
		p.Do(func(ctx context.Context) error { return h.FS.SetAttr(ctx, dir, attr) }, changes...)
	}
	return nil
}
