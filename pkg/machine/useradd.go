//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"vigo.dev/pkg/excerpt"
	"vigo.dev/pkg/host"
)

// putUser creates or changes a user with useradd(8) and usermod(8). The password goes through the standard input of
// chpasswd(8), never into an argument list, which every process may read.
func (a *accounts) putUser(ctx context.Context, c host.AccountChange) error {
	_, err := a.User(ctx, c.User)
	exists := err == nil
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return err
	}
	argv := []string{"usermod"}
	if !exists {
		argv = []string{"useradd"}
		if c.System {
			argv = append(argv, "--system")
		}
		if c.MakeHome {
			argv = append(argv, "--create-home")
		} else {
			argv = append(argv, "--no-create-home")
		}
	}
	given := len(argv)
	argv = appendFlag(argv, "--uid", number(c.UID))
	argv = appendFlag(argv, "--gid", primary(c))
	argv = appendFlag(argv, "--comment", c.Comment)
	argv = appendFlag(argv, "--home-dir", c.Home)
	if exists {
		argv = replaceFlag(argv, "--home-dir", "--home")
	}
	argv = appendFlag(argv, "--shell", c.Shell)
	argv = appendFlag(argv, "--expiredate", c.Expires)
	if c.Groups != nil {
		argv = append(argv, "--groups", strings.Join(*c.Groups, ","))
	}
	if !exists || len(argv) > given {
		if err := a.tool(ctx, nil, append(argv, c.User)...); err != nil {
			return err
		}
	}
	if err := a.age(ctx, c); err != nil || c.Password == nil {
		return err
	}
	if strings.ContainsAny(*c.Password, ":\n") {
		return errors.New("the password is not a hash as in shadow(5)")
	}
	return a.tool(ctx, strings.NewReader(c.User+":"+*c.Password+"\n"), "chpasswd", "--encrypted")
}

// age sets how long the password lasts, with chage(1).
func (a *accounts) age(ctx context.Context, c host.AccountChange) error {
	argv := []string{"chage"}
	for _, f := range []struct{ flag, value string }{
		{"--mindays", c.Aging.Min}, {"--maxdays", c.Aging.Max}, {"--warndays", c.Aging.Warn}, {"--inactive", c.Aging.Inactive},
	} {
		if f.value != "" {
			argv = append(argv, f.flag, f.value)
		}
	}
	if len(argv) == 1 {
		return nil
	}
	return a.tool(ctx, nil, append(argv, c.User)...)
}

func (a *accounts) putGroup(ctx context.Context, c host.AccountChange) error {
	_, err := a.Group(ctx, c.Group)
	exists := err == nil
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return err
	}
	argv := []string{"groupmod"}
	if !exists {
		argv = []string{"groupadd"}
		if c.System {
			argv = append(argv, "--system")
		}
	}
	given := len(argv)
	argv = appendFlag(argv, "--gid", number(c.GID))
	if !exists || len(argv) > given {
		if err := a.tool(ctx, nil, append(argv, c.Group)...); err != nil {
			return err
		}
	}
	if c.Members == nil {
		return nil
	}
	return a.tool(ctx, nil, "gpasswd", "--members", strings.Join(*c.Members, ","), c.Group)
}

func (a *accounts) dropByProgram(ctx context.Context, d host.AccountDrop) error {
	if d.Group != "" {
		return a.tool(ctx, nil, "groupdel", d.Group)
	}
	if d.RemoveHome {
		return a.tool(ctx, nil, "userdel", "--remove", d.User)
	}
	return a.tool(ctx, nil, "userdel", d.User)
}

// tool runs a program of the shadow suite.
func (a *accounts) tool(ctx context.Context, stdin *strings.Reader, argv ...string) error {
	c := host.Command{Argv: argv}
	if stdin != nil {
		c.Stdin = stdin
	}
	res, err := a.m.runner.Run(ctx, c)
	if err != nil || res.Code == 0 {
		return err
	}
	// Exit status 8 of usermod and userdel: the user is logged in; 12 of userdel: only the home folder stayed.
	err = fmt.Errorf("%s: exit status %d: %s", argv[0], res.Code, lastWords(res.Stderr))
	if res.Code == 8 && (argv[0] == "usermod" || argv[0] == "userdel") {
		err = fmt.Errorf("%w: %w", host.ErrBusy, err)
	}
	return err
}

func appendFlag(argv []string, flag string, value *string) []string {
	if value == nil {
		return argv
	}
	return append(argv, flag, *value)
}

func replaceFlag(argv []string, from, to string) []string {
	for i, arg := range argv {
		if arg == from {
			argv[i] = to
			break
		}
	}
	return argv
}

func number(n *int) *string {
	if n == nil {
		return nil
	}
	s := strconv.Itoa(*n)
	return &s
}

// primary is the primary group by name, or by number.
func primary(c host.AccountChange) *string {
	if c.Primary != nil {
		return c.Primary
	}
	return number(c.GID)
}

// lastWords is the end of what a program said, on one line.
func lastWords(out []byte) string { return excerpt.Said(out) }
