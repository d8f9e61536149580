package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// AuthorizedKey is one SSH public key with which one may log in as a user, in ~/.ssh/authorized_keys as sshd(8)
// describes it. The directory has mode 0700, the file 0600, and both belong to the user. Other keys are left alone; a
// key that is there with other options or another comment is brought into line.
//
//	resources:
//	  - authorized_key: alice@laptop
//	    user: deploy
//	    type: ssh-ed25519
//	    key: AAAAC3NzaC1lZDI1NTE5AAAAIIHUCGi3nH8s1+7b5RiJx0RvyLoMYDm3kmzhvb1DXMDd
//	    options: [no-port-forwarding]
type AuthorizedKey struct {
	// Name of the key, free to choose; it is the comment in the file, unless comment is given.
	Name string `vigo:"identity"`

	// User that one may log in as with the key.
	User string `yaml:"user" vigo:"required"`

	// Type of the key, such as ssh-ed25519 or ssh-rsa.
	Type string `yaml:"type" vigo:"required"`

	// Key is the public key in base64, as in the second column of a .pub file.
	Key string `yaml:"key" vigo:"required"`

	// Options restrict what the key may be used for, each as sshd(8) writes it, such as from="10.0.0.0/8".
	Options []string `yaml:"options"`

	// Exclusive takes all other keys out of the file: this is the only one with which one may log in as the user.
	Exclusive bool `yaml:"exclusive"`

	// Comment at the end of the line.
	Comment string `yaml:"comment"`

	// Path of the file, if it is not ~/.ssh/authorized_keys. Its directory must be there then.
	Path string `yaml:"path"`

	// Ensure says whether one may log in with the key.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`
}

// keyOption is one option, as sshd(8) has it: anything else would make the line mean something else, or nothing.
var keyOption = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*(="(?:[^"\\\n\r\x00]|\\[^\n\r\x00])*")?$`)

var (
	_ resource.Validator = (*AuthorizedKey)(nil)
	_ resource.Requirer  = (*AuthorizedKey)(nil)
)

// Validate implements [resource.Validator].
func (k *AuthorizedKey) Validate() error {
	if err := checkPublicKey(k.Type, k.Key); err != nil {
		return err
	}
	for _, o := range k.Options {
		if !keyOption.MatchString(o) {
			return fault.WithHint(fmt.Errorf("options: %q is not an option", o), `write no-pty, or from="10.0.0.0/8" with the value in double quotes`)
		}
	}
	if k.Path != "" {
		if err := checkPath(k.Path); err != nil {
			return fmt.Errorf("path: %w", err)
		}
	}
	return oneLine("comment", k.comment())
}

// Requires implements [resource.Requirer].
func (k *AuthorizedKey) Requires() []resource.ID {
	ids := []resource.ID{{Type: "user", Name: k.User}}
	if k.Path != "" {
		ids = append(ids, above(k.Path)...)
	}
	return ids
}

func (k *AuthorizedKey) comment() string {
	if k.Comment != "" {
		return k.Comment
	}
	return k.Name
}

// Plan implements [resource.Resource].
func (k *AuthorizedKey) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	user, err := h.Accounts.User(ctx, k.User)
	if errors.Is(err, host.ErrNotFound) && k.Ensure == "absent" {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("finding user %s: %w", k.User, hintUnknown(err, "user", k.User))
	}
	name, owner := k.Path, attributes{Owner: user.Name, Group: groupName(ctx, h, user.GID)}
	if name == "" {
		if err := checkPath(user.Home); err != nil {
			return p, fmt.Errorf("home of %s: %w", k.User, err)
		}
		name = path.Join(user.Home, ".ssh/authorized_keys")
		if err := planSSHDir(ctx, h, &p, path.Dir(name), owner, k.Ensure == "absent"); err != nil {
			return p, err
		}
	}
	owner.Mode = &resource.Mode{Perm: 0o600}
	attr, err := owner.resolve(ctx, h)
	if err != nil {
		return p, err
	}
	edited, err := textEdit{Path: name, Create: true, New: attr, Edit: func(lines []string) ([]string, error) {
		return k.edit(lines), nil
	}}.plan(h)
	if err != nil {
		return p, err
	}
	p.Include("", edited)
	is, err := look(h, name)
	if err != nil || is == nil || k.Ensure == "absent" {
		return p, err
	}
	if changes := owner.changes(ctx, h, *is, attr); len(changes) > 0 {
		p.Do(func(ctx context.Context) error { return h.FS.SetAttr(ctx, name, attr) }, changes...)
	}
	return p, nil
}

// edit returns the lines as they should be: the first line with the key is brought into line, further ones go.
func (k *AuthorizedKey) edit(lines []string) []string {
	want := k.Type + " " + k.Key + " " + k.comment()
	if len(k.Options) > 0 {
		want = strings.Join(k.Options, ",") + " " + want
	}
	var edited []string
	done := k.Ensure == "absent"
	for _, l := range lines {
		if !k.in(l) {
			if k.Exclusive && k.Ensure != "absent" && strings.TrimSpace(l) != "" && !strings.HasPrefix(strings.TrimSpace(l), "#") {
				continue
			}
			edited = append(edited, l)
		} else if !done {
			done = true
			edited = append(edited, want)
		}
	}
	if !done {
		edited = append(edited, want)
	}
	return edited
}

// in reports whether a line lets the key in.
func (k *AuthorizedKey) in(line string) bool { return keyOnLine(line) == k.Key }

// keyOnLine is the key that a line lets in; "" if it lets nobody in. It is read as sshd(8) does: type and key, or options and then
// type and key. What follows is a comment, which may hold anything, also the key of somebody else.
func keyOnLine(line string) string {
	line = strings.Trim(line, " \t\r")
	for _, from := range []int{0, endOfOptions(line)} {
		words := strings.FieldsFunc(line[from:], func(r rune) bool { return r == ' ' || r == '\t' })
		if len(words) > 1 && checkPublicKey(words[0], words[1]) == nil {
			return words[1]
		}
	}
	return ""
}

// endOfOptions is the first white space outside of quotes.
func endOfOptions(line string) int {
	quoted, i := false, 0
	for ; i < len(line) && (quoted || line[i] != ' ' && line[i] != '\t'); i++ {
		switch {
		case strings.HasPrefix(line[i:], `\"`):
			i++
		case line[i] == '"':
			quoted = !quoted
		}
	}
	return i
}
