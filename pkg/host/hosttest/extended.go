package hosttest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"

	"vigo.dev/pkg/host"
)

// extended implements host.Extended.
type extended struct{ m *Machine }

var _ host.Extended = extended{}

// Xattr implements host.Extended.
func (e extended) Xattr(name, attr string) ([]byte, error) {
	e.m.mu.Lock()
	defer e.m.mu.Unlock()
	_, n, err := e.m.look("xattr", name, false)
	if err != nil {
		return nil, err
	}
	value, ok := n.xattrs[attr]
	if !ok {
		return nil, fmt.Errorf("reading %s of %s: %w", attr, name, host.ErrNotFound)
	}
	return []byte(value), nil
}

// SetXattr implements host.Extended. As a kernel does, it keeps the mode in step with the access list.
func (e extended) SetXattr(_ context.Context, name, attr string, value []byte) error {
	e.m.mu.Lock()
	defer e.m.mu.Unlock()
	e.m.wrote("setxattr %s %s", name, attr)
	if err := e.m.failure("write", name); err != nil {
		return fmt.Errorf("setting %s of %s: %w", attr, name, err)
	}
	_, n, err := e.m.look("xattr", name, false)
	if err != nil {
		return err
	}
	n.xattrs = maps.Clone(n.xattrs)
	if n.xattrs == nil {
		n.xattrs = map[string]string{}
	}
	if value == nil {
		delete(n.xattrs, attr)
		return nil
	}
	n.xattrs[attr] = string(value)
	n.implied = false
	if attr == "system.posix_acl_access" {
		return n.follow(value)
	}
	return nil
}

// Flags implements host.Extended.
func (e extended) Flags(name string) (host.FileFlags, error) {
	e.m.mu.Lock()
	defer e.m.mu.Unlock()
	_, n, err := e.m.look("flags", name, false)
	if err != nil {
		return host.FileFlags{}, err
	}
	return n.flags, nil
}

// SetFlags implements host.Extended.
func (e extended) SetFlags(_ context.Context, name string, f host.FileFlags) error {
	e.m.mu.Lock()
	defer e.m.mu.Unlock()
	e.m.wrote("setflags %s", name)
	_, n, err := e.m.look("flags", name, false)
	if err != nil {
		return err
	}
	n.flags = f
	return nil
}

// follow brings the mode in step with an access list, as a kernel does; a list of nothing but the mode is not kept.
func (n *node) follow(list []byte) error {
	if len(list) < 4+3*8 || len(list)%8 != 4 {
		return errors.New("not an access list")
	}
	perms := map[uint16]fs.FileMode{}
	for e := list[4:]; len(e) > 0; e = e[8:] {
		perms[binary.LittleEndian.Uint16(e)] = fs.FileMode(binary.LittleEndian.Uint16(e[2:]) & 7)
	}
	middle, masked := perms[0x10]
	if !masked {
		middle = perms[0x04]
	}
	n.mode = n.mode&^0o777 | perms[0x01]<<6 | middle<<3 | perms[0x20]
	if len(list) == 4+3*8 {
		delete(n.xattrs, "system.posix_acl_access")
	}
	return nil
}

func flagWords(f host.FileFlags) string {
	words := ""
	if f.Immutable {
		words += " immutable"
	}
	if f.AppendOnly {
		words += " append"
	}
	return words
}

// xattr reads `xattr PATH NAME "value"`, behind the line of the file.
func (p *parser) xattr(l *line) error {
	if err := l.want(3, 3, "xattr PATH NAME VALUE"); err != nil {
		return err
	}
	n := p.m.nodes[l.args[0]]
	if n == nil {
		return fmt.Errorf("the file %s has no line above", l.args[0])
	}
	if n.xattrs == nil {
		n.xattrs = map[string]string{}
	}
	n.xattrs[l.args[1]] = l.args[2]
	return nil
}

// flags reads `flags PATH immutable append`, behind the line of the file.
func (p *parser) flags(l *line) error {
	f := host.FileFlags{Immutable: l.flag("immutable", 1), AppendOnly: l.flag("append", 1)}
	if err := l.want(1, 1, "flags PATH [immutable] [append]"); err != nil {
		return err
	}
	n := p.m.nodes[l.args[0]]
	if n == nil {
		return fmt.Errorf("the file %s has no line above", l.args[0])
	}
	n.flags = f
	return nil
}
