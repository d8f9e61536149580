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
func (b below) RemoveBelow(ctx context.Context, dir, name string) error {
	if err := b.straight(dir, name); err != nil {
		return err
	}
	return files(b).Remove(ctx, path.Join(dir, name), false)
}

// SetAttrBelow implements host.Below.
func (b below) SetAttrBelow(ctx context.Context, dir, name string, _ host.Kind, a host.Attr) error {
	if err := b.straight(dir, name); err != nil {
		return err
	}
	return files(b).SetAttr(ctx, path.Join(dir, name), a)
}
