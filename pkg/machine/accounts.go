//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
	"sync"
	"syscall"

	"vigo.dev/pkg/host"
)

// The account files.
const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
	shadowFile = "/etc/shadow"
)

// accounts is host.Accounts: files are read, programs of the machine change them; in another root folder the files
// are changed directly.
type accounts struct {
	m    *Machine
	fs   *files
	mu   sync.Mutex
	read func() (database, error) // nil: to be read again
}

func newAccounts(m *Machine, fsys *files) *accounts { return &accounts{m: m, fs: fsys} }

var _ host.Accounts = (*accounts)(nil)

func (a *accounts) database() (database, error) {
	a.mu.Lock()
	if a.read == nil {
		a.read = sync.OnceValues(a.load)
	}
	read := a.read
	a.mu.Unlock()
	return read()
}

// forget makes the next look read the files again.
func (a *accounts) forget() {
	a.mu.Lock()
	a.read = nil
	a.mu.Unlock()
}

func (a *accounts) load() (database, error) {
	passwd, err := a.fs.Read(passwdFile, 0)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return database{}, err
	}
	group, err := a.fs.Read(groupFile, 0)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return database{}, err
	}
	shadow, err := a.fs.Read(shadowFile, 0)
	switch {
	case err == nil:
	case errors.Is(err, host.ErrNotFound):
		shadow = []byte{}
	case errors.Is(err, fs.ErrPermission):
		shadow = nil // passwords are host.UnknownPassword then
	default:
		return database{}, err
	}
	return parseAccounts(passwd, group, shadow), nil
}

// User implements [host.Accounts].
func (a *accounts) User(_ context.Context, name string) (host.User, error) {
	db, err := a.database()
	if err != nil {
		return host.User{}, fmt.Errorf("looking for user %s: %w", name, err)
	}
	for _, u := range db.users {
		if u.Name == name {
			return u, nil
		}
	}
	return host.User{}, fmt.Errorf("user %s: %w", name, host.ErrNotFound)
}

// Group implements [host.Accounts].
func (a *accounts) Group(_ context.Context, name string) (host.Group, error) {
	db, err := a.database()
	if err != nil {
		return host.Group{}, fmt.Errorf("looking for group %s: %w", name, err)
	}
	for _, g := range db.groups {
		if g.Name == name {
			return g, nil
		}
	}
	return host.Group{}, fmt.Errorf("group %s: %w", name, host.ErrNotFound)
}

// All implements [host.Accounts].
func (a *accounts) All(context.Context) ([]host.User, []host.Group, error) {
	db, err := a.database()
	if err != nil {
		return nil, nil, fmt.Errorf("listing accounts: %w", err)
	}
	return append([]host.User(nil), db.users...), append([]host.Group(nil), db.groups...), nil
}

// Put implements [host.Accounts].
func (a *accounts) Put(ctx context.Context, c host.AccountChange) error {
	if (c.User == "") == (c.Group == "") {
		return errors.New("changing an account: want either a user or a group")
	}
	defer a.forget()
	switch {
	case !a.m.tree.live() && c.User != "":
		return wrapAccount("changing user", c.User, a.editUser(ctx, c))
	case !a.m.tree.live():
		return wrapAccount("changing group", c.Group, a.editGroup(ctx, c))
	case c.User != "":
		return wrapAccount("changing user", c.User, a.putUser(ctx, c))
	}
	return wrapAccount("changing group", c.Group, a.putGroup(ctx, c))
}

// Drop implements [host.Accounts].
func (a *accounts) Drop(ctx context.Context, d host.AccountDrop) error {
	if (d.User == "") == (d.Group == "") {
		return errors.New("removing an account: want either a user or a group")
	}
	defer a.forget()
	var err error
	if d.User != "" {
		_, err = a.User(ctx, d.User)
	} else {
		_, err = a.Group(ctx, d.Group)
	}
	if errors.Is(err, host.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if !a.m.tree.live() {
		return wrapAccount("removing", d.User+d.Group, a.editDrop(ctx, d))
	}
	return wrapAccount("removing", d.User+d.Group, a.dropByProgram(ctx, d))
}

func wrapAccount(doing, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", doing, name, err)
}

type identity struct {
	cred *syscall.Credential
	home string
}

// credential finds the numbers of a user of the machine that runs this program, directory services included.
func credential(name string) (identity, error) {
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return identity{}, fmt.Errorf("user %s: %w", name, host.ErrNotFound)
	}
	if err != nil {
		return identity{}, fmt.Errorf("looking for user %s: %w", name, err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return identity{}, fmt.Errorf("user %s: %w", name, err)
	}
	id := identity{cred: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, home: u.HomeDir}
	groups, err := u.GroupIds()
	if err != nil {
		return identity{}, fmt.Errorf("groups of user %s: %w", name, err)
	}
	for _, g := range groups {
		if n, err := strconv.ParseUint(g, 10, 32); err == nil {
			id.cred.Groups = append(id.cred.Groups, uint32(n))
		}
	}
	return id, nil
}
