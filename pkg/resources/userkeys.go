package resources

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

var _ resource.Acquainted = (*User)(nil)

// Acquaint implements [resource.Acquainted].
func (u *User) Acquaint(all []resource.Resource) {
	u.acquainted, u.keys = true, nil
	if !u.PurgeSSHKeys {
		return
	}
	for _, r := range all {
		if k, is := r.(*AuthorizedKey); is && k.User == u.Name && k.Ensure != "absent" {
			u.keys = append(u.keys, k.Key)
		}
	}
}

// planKeys takes the keys that nobody declares out of the files that sshd(8) reads by default. The home is the user's to write
// to: a link in place of ~/.ssh or of a file is refused.
func (u *User) planKeys(h *host.Host, p *resource.Plan, home string) error {
	if !u.acquainted {
		return errors.New("purge_ssh_keys needs to know which keys the policy declares, and was not told")
	}
	if err := checkPath(home); err != nil {
		return fmt.Errorf("home of %s: %w", u.Name, err)
	}
	dir := path.Join(home, ".ssh")
	is, err := look(h, dir)
	if err != nil || is == nil {
		return err
	}
	if is.Kind != host.Dir {
		return fmt.Errorf("%s is a %s, not a directory", dir, is.Kind)
	}
	for _, name := range []string{"authorized_keys", "authorized_keys2"} {
		plan, err := textEdit{Path: path.Join(dir, name), Edit: func(lines []string) ([]string, error) {
			return slices.DeleteFunc(slices.Clone(lines), u.strange), nil
		}}.plan(h)
		if err != nil {
			return err
		}
		p.Include(name, plan)
	}
	return nil
}

// strange reports whether a line lets somebody in whom the policy does not declare.
func (u *User) strange(line string) bool {
	line = strings.TrimSpace(line)
	if line == "" || strings.HasPrefix(line, "#") {
		return false
	}
	return !slices.Contains(u.keys, keyOnLine(line))
}
