package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// SSHKnownHost is the public key of an SSH server that the machine's users trust, in the list of the whole machine or
// of one user, as sshd(8) describes it. A server may have one key of each type, each a resource of its own. Lines
// about other servers are left alone; a line that names several loses those that this resource is about.
//
//	resources:
//	  - ssh_known_host: git.example.com
//	    type: ssh-ed25519
//	    key: AAAAC3NzaC1lZDI1NTE5AAAAIIHUCGi3nH8s1+7b5RiJx0RvyLoMYDm3kmzhvb1DXMDd
type SSHKnownHost struct {
	// Name of the server, unless hosts is given; then it is free to choose.
	Name string `vigo:"identity"`

	// Ensure says whether the key should be trusted.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Hosts are all names and addresses of the server, or patterns of them such as *.example.com for an authority.
	Hosts []string `yaml:"hosts"`

	// Port of the server, if it is not 22.
	Port int `yaml:"port"`

	// Type of the key, such as ssh-ed25519.
	Type string `yaml:"type" vigo:"required"`

	// Key is the public key in base64. To take the key of a type away, whatever it is, leave it out.
	Key string `yaml:"key"`

	// Marker says that the key is that of an authority that signs keys of servers (cert-authority), or one that must
	// never be trusted again (revoked).
	Marker string `yaml:"marker" vigo:"enum=cert-authority|revoked"`

	// Hashed keeps readers of the file from learning which servers are known. The salt is made of the machine's id.
	Hashed bool `yaml:"hashed"`

	// User whose list it is, ~/.ssh/known_hosts. Without one it is that of the machine, /etc/ssh/ssh_known_hosts.
	User string `yaml:"user"`

	// Path of the file, if it is another.
	Path string `yaml:"path"`
}

var (
	_ resource.Validator = (*SSHKnownHost)(nil)
	_ resource.Requirer  = (*SSHKnownHost)(nil)
)

// Validate implements [resource.Validator].
func (k *SSHKnownHost) Validate() error {
	for _, name := range k.names() {
		if name == "" || strings.ContainsAny(name, " \t\r\n,#|@[]\x00") {
			return fmt.Errorf("%q is not the name of a server", name)
		}
		if k.Hashed && strings.ContainsAny(name, "*?!") {
			return fmt.Errorf("%q is a pattern, which cannot be hashed", name)
		}
	}
	switch {
	case k.Port < 0 || k.Port > 65535:
		return fmt.Errorf("port: %d is not a port", k.Port)
	case k.User != "" && k.Path != "":
		return errors.New("user and path exclude each other")
	case k.Key == "" && k.Ensure != "absent":
		return errors.New(`needs the key "key"`)
	case k.Path != "":
		if err := checkPath(k.Path); err != nil {
			return fmt.Errorf("path: %w", err)
		}
	}
	if k.Key == "" {
		return nil
	}
	return checkPublicKey(k.Type, k.Key)
}

// Requires implements [resource.Requirer].
func (k *SSHKnownHost) Requires() []resource.ID {
	ids := []resource.ID{{Type: "package", Name: "openssh-client"}}
	if k.User != "" {
		ids = append(ids, resource.ID{Type: "user", Name: k.User})
	}
	if k.Path != "" {
		ids = append(ids, above(k.Path)...)
	}
	return ids
}

// names are the server's as the file has them.
func (k *SSHKnownHost) names() []string {
	names := k.Hosts
	if len(names) == 0 {
		names = []string{k.Name}
	}
	return names
}

// listed are the names with the port, where it is not the usual one.
func (k *SSHKnownHost) listed() []string {
	names := slices.Clone(k.names())
	for i, name := range names {
		if k.Port != 0 && k.Port != 22 {
			names[i] = fmt.Sprintf("[%s]:%d", name, k.Port)
		}
	}
	return names
}

// Plan implements [resource.Resource].
func (k *SSHKnownHost) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	edit := textEdit{Path: orWord(k.Path, "/etc/ssh/ssh_known_hosts"), Create: true}
	if k.User != "" {
		user, err := h.Accounts.User(ctx, k.User)
		if errors.Is(err, host.ErrNotFound) && k.Ensure == "absent" {
			return p, nil
		}
		if err != nil {
			return p, fmt.Errorf("finding user %s: %w", k.User, hintUnknown(err, "user", k.User))
		}
		if err := checkPath(user.Home); err != nil {
			return p, fmt.Errorf("home of %s: %w", k.User, err)
		}
		edit.Path = path.Join(user.Home, ".ssh/known_hosts")
		owner := attributes{Owner: user.Name, Group: groupName(ctx, h, user.GID)}
		if err := planSSHDir(ctx, h, &p, path.Dir(edit.Path), owner, k.Ensure == "absent"); err != nil {
			return p, err
		}
		owner.Mode = &resource.Mode{Perm: 0o600}
		if edit.New, err = owner.resolve(ctx, h); err != nil {
			return p, err
		}
	} else if k.Ensure != "absent" {
		if err := planParent(h, &p, edit.Path); err != nil {
			return p, err
		}
	}
	salt, err := machineSalt(h)
	if err != nil && k.Hashed {
		return p, err
	}
	edit.Edit = func(lines []string) ([]string, error) { return k.edit(lines, salt), nil }
	edited, err := edit.plan(h)
	p.Include("", edited)
	return p, err
}

// edit returns the lines as they should be: what is known of the server with a key of the type goes, but for the
// lines that are as wanted.
func (k *SSHKnownHost) edit(lines []string, salt []byte) []string {
	var edited []string
	missing := k.listed()
	if k.Ensure == "absent" {
		missing = nil
	}
	at := -1
	for _, line := range lines {
		l, ok := parseKnownHost(line)
		if !ok || l.marker != k.Marker || l.keyType != k.Type || k.Ensure == "absent" && k.Key != "" && l.key != k.Key {
			edited = append(edited, line)
			continue
		}
		mine, others := l.split(k.listed())
		if len(mine) == 0 {
			edited = append(edited, line)
			continue
		}
		if at < 0 {
			at = len(edited)
		}
		if k.keeps(l, mine, others, missing) {
			missing = slices.DeleteFunc(missing, func(n string) bool { return slices.Contains(mine, n) })
			edited = append(edited, line)
		} else if len(others) > 0 {
			l.hosts = others
			edited = append(edited, l.String())
		}
	}
	if at < 0 {
		at = len(edited)
	}
	return slices.Insert(edited, min(at, len(edited)), k.lines(missing, salt)...)
}

// keeps reports whether a line is as wanted: it has the key, and only names that are still to be found.
func (k *SSHKnownHost) keeps(l knownHost, mine, others, missing []string) bool {
	if k.Ensure == "absent" || l.key != k.Key || len(others) > 0 || l.hashed() != k.Hashed {
		return false
	}
	if !k.Hashed && len(mine) != len(k.names()) {
		return false
	}
	for _, name := range mine {
		if !slices.Contains(missing, name) {
			return false
		}
	}
	return true
}

// lines are those for the names that have none yet.
func (k *SSHKnownHost) lines(names []string, salt []byte) []string {
	l := knownHost{marker: k.Marker, keyType: k.Type, key: k.Key}
	if !k.Hashed {
		if l.hosts = names; len(names) == 0 {
			return nil
		}
		return []string{l.String()}
	}
	var lines []string
	for _, name := range names {
		l.hosts = []string{hashHost(name, saltFor(salt, name))}
		lines = append(lines, l.String())
	}
	return lines
}
