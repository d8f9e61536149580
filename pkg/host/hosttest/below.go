package hosttest

import (
	"context"
	"fmt"
	"path"

	"vigo.dev/pkg/host"
)

// below implements host.Below.
type below struct{ m *Machine }

var _ host.Below = below{}

// straight refuses a link between dir and name.
func (b below) straight(dir, name string) error {
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	for at := path.Dir(name); at != "."; at = path.Dir(at) {
		if n := b.m.nodes[path.Join(dir, at)]; n != nil && n.kind == host.Symlink {
			return fmt.Errorf("%s is a symbolic link", path.Join(dir, at))
		}
	}
	return nil
}

// RemoveBelow implements host.Below.
func (b below) RemoveBelow(ctx context.Context, dir, name string, all bool) error {
	if err := b.straight(dir, name); err != nil {
		return err
	}
	return files(b).Remove(ctx, path.Join(dir, name), all)
}

// SetAttrBelow implements host.Below.
func (b below) SetAttrBelow(ctx context.Context, dir, name string, _ host.Info, a host.Attr) error {
	if err := b.straight(dir, name); err != nil {
		return err
	}
	return files(b).SetAttr(ctx, path.Join(dir, name), a)
}

// SetXattrBelow implements host.Below.
func (b below) SetXattrBelow(ctx context.Context, dir, name string, _ host.Info, attr string, value []byte) error {
	if err := b.straight(dir, name); err != nil {
		return err
	}
	return extended(b).SetXattr(ctx, path.Join(dir, name), attr, value)
}
