package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// SELinuxFcontext says which label SELinux gives to files whose paths match a pattern. It is read from file_contexts.local,
// changed by semanage(8), and the files that are there get it by restorecon(8). The rules of the policy itself are left alone;
// those of the machine, which these are, go before them.
//
//	resources:
//	  - selinux_fcontext: /srv/web(/.*)?
//	    type: httpd_sys_content_t
type SELinuxFcontext struct {
	// Pattern of whole paths, a regular expression.
	Pattern string `vigo:"identity"`

	// Ensure says whether the rule should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Type of the label, such as httpd_sys_content_t, or <<none>> for no label.
	Type string `yaml:"type"`

	// FileType is what kind of file the rule is for: any (if it is not given), file, directory, char, block, socket, link or pipe.
	FileType string `yaml:"file_type" vigo:"enum=any|file|directory|char|block|socket|link|pipe"`

	// User of the label; system_u if it is not given.
	User string `yaml:"user"`

	// Range of the label, in policies with levels; s0 if it is not given.
	Range string `yaml:"range"`

	// Restore is where files get their labels anew when the rule has changed; if it is not given, the path that the pattern
	// begins with. An empty list is nowhere.
	Restore *[]string `yaml:"restore"`
}

var (
	_ resource.Validator = (*SELinuxFcontext)(nil)
	_ resource.Requirer  = (*SELinuxFcontext)(nil)

	selinuxWord  = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9_]*|<<none>>)$`)
	selinuxRange = regexp.MustCompile(`^s[0-9]+[a-z0-9:.,-]*$`)
)

// Validate implements [resource.Validator].
func (f *SELinuxFcontext) Validate() error {
	switch {
	case !strings.HasPrefix(f.Pattern, "/"):
		return fmt.Errorf("the pattern %q begins with no /, so it matches no path", f.Pattern)
	case strings.ContainsAny(f.Pattern, " \t\r\n\x00"):
		return fault.WithHint(fmt.Errorf("the pattern %q holds a space", f.Pattern), `write \s in its place`)
	case f.Ensure != "absent" && f.Type == "":
		return errors.New(`needs the key "type"`)
	case f.Type != "" && !selinuxWord.MatchString(f.Type):
		return fmt.Errorf("type: %q is not the type of a label", f.Type)
	case f.User != "" && (!selinuxWord.MatchString(f.User) || f.User == "<<none>>"):
		return fmt.Errorf("user: %q is not the user of a label", f.User)
	case f.Range != "" && !selinuxRange.MatchString(f.Range):
		return fmt.Errorf("range: %q is not a range of levels", f.Range)
	}
	if _, err := regexp.Compile(f.Pattern); err != nil {
		return fmt.Errorf("the pattern %q: %w", f.Pattern, err)
	}
	if f.Restore != nil {
		for _, p := range *f.Restore {
			if err := checkPath(p); err != nil {
				return fmt.Errorf("restore: %w", err)
			}
		}
	}
	return nil
}

// Requires implements [resource.Requirer].
func (f *SELinuxFcontext) Requires() []resource.ID { return selinuxTools() }

// fcontextKinds are the words of semanage and of file_contexts(5) for the kinds of file.
func fcontextKinds() map[string][2]string {
	return map[string][2]string{"any": {"a", ""}, "file": {"f", "--"}, "directory": {"d", "-d"}, "char": {"c", "-c"}, "block": {"b", "-b"},
		"socket": {"s", "-s"}, "link": {"l", "-l"}, "pipe": {"p", "-p"}}
}

// Plan implements [resource.Resource].
func (f *SELinuxFcontext) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	_, policy, err := selinuxSettings(h)
	if errors.Is(err, host.ErrNotFound) && f.Ensure == "absent" {
		return p, nil
	}
	if err != nil {
		return p, fault.WithHint(err, "declare the package of a policy, such as selinux-policy-targeted or selinux-policy-default")
	}
	is, err := f.rule(h, policy)
	if err != nil {
		return p, err
	}
	kind := fcontextKinds()[orWord(f.FileType, "any")][0]
	if f.Ensure == "absent" {
		if is != "" {
			f.do(h, &p, change.Of("label", is, change.Absent), []string{"semanage", "fcontext", "-d", "-f", kind, f.Pattern})
		}
		return p, nil
	}
	if want := f.label(is); is != want {
		verb := "-a"
		if is != "" {
			verb = "-m"
		}
		argv := []string{"semanage", "fcontext", verb, "-f", kind, "-t", f.Type}
		if f.User != "" {
			argv = append(argv, "-s", f.User)
		}
		if f.Range != "" {
			argv = append(argv, "-r", f.Range)
		}
		f.do(h, &p, change.Of("label", orWord(is, change.Absent), want), append(argv, f.Pattern))
		return p, nil
	}
	return p, f.planFiles(h, &p)
}

// label is what the rule should give, as file_contexts(5) writes it; whether there are levels is seen in what it gives now.
func (f *SELinuxFcontext) label(is string) string {
	if f.Type == "<<none>>" {
		return f.Type
	}
	levels := ":" + orWord(f.Range, "s0")
	if f.Range == "" && is != "" {
		if parts := strings.SplitN(is, ":", 4); len(parts) == 4 {
			levels = ":" + parts[3]
		} else if is != "<<none>>" {
			levels = ""
		}
	}
	user := orWord(f.User, "system_u")
	if was, _, ok := strings.Cut(is, ":"); ok && f.User == "" {
		user = was // as semanage leaves it, too
	}
	return user + ":object_r:" + f.Type + levels
}

// rule is the label that the machine has for the pattern; empty if it has none.
func (f *SELinuxFcontext) rule(h *host.Host, policy string) (string, error) {
	data, err := h.FS.Read(path.Join("/etc/selinux", policy, "contexts/files/file_contexts.local"), maxEdit)
	if errors.Is(err, host.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the rules for labels: %w", err)
	}
	kind, label := fcontextKinds()[orWord(f.FileType, "any")][1], ""
	for line := range strings.Lines(string(data)) {
		w := strings.Fields(line)
		if len(w) == 2 {
			w = []string{w[0], "", w[1]}
		}
		if len(w) == 3 && w[0] == f.Pattern && w[1] == kind {
			label = w[2]
		}
	}
	return label, nil
}

// root is the path that a pattern begins with: all before what is more than letters.
func (f *SELinuxFcontext) root() string {
	re := regexp.MustCompile(f.Pattern)
	prefix, whole := re.LiteralPrefix()
	if !whole && !strings.HasSuffix(prefix, "/") && !strings.HasPrefix(f.Pattern, prefix+"(/") && !strings.HasPrefix(f.Pattern, prefix+"/") {
		prefix = path.Dir(prefix) // /srv/web.* is also of /srv/website
	}
	return path.Clean("/" + prefix)
}

func (f *SELinuxFcontext) restored() []string {
	switch {
	case f.Restore != nil:
		return *f.Restore
	case f.root() == "/":
		return nil // all files of the machine take hours
	}
	return []string{f.root()}
}

// do plans a command, and that the files get the label.
func (f *SELinuxFcontext) do(h *host.Host, p *resource.Plan, c change.Change, argv []string) {
	p.Do(func(ctx context.Context) error {
		if err := runProgram(ctx, h, argv...); err != nil {
			return err
		}
		return f.restorecon(ctx, h)
	}, c)
}

func (f *SELinuxFcontext) restorecon(ctx context.Context, h *host.Host) error {
	mode, err := selinuxMode(h)
	if err != nil || mode == "disabled" {
		return err // they get it when SELinux is turned on
	}
	for _, name := range f.restored() {
		is, err := look(h, name)
		if err != nil {
			return err
		}
		if is == nil {
			continue
		}
		if err := runProgram(ctx, h, "restorecon", "-R", name); err != nil {
			return err
		}
	}
	return nil
}

// planFiles plans that the file at the root of the pattern has the label: it stands for those below it.
func (f *SELinuxFcontext) planFiles(h *host.Host, p *resource.Plan) error {
	mode, err := selinuxMode(h)
	if err != nil || mode == "disabled" || orWord(f.FileType, "any") != "any" || f.Type == "<<none>>" || len(f.restored()) == 0 {
		return err
	}
	root := f.root()
	if !regexp.MustCompile("^(" + f.Pattern + ")$").MatchString(root) {
		return nil
	}
	label, err := h.Extended.Xattr(root, "security.selinux")
	if errors.Is(err, host.ErrNotFound) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the label of %s: %w", root, err)
	}
	parts := strings.SplitN(strings.TrimSuffix(string(label), "\x00"), ":", 4)
	if len(parts) < 3 || parts[2] == f.Type {
		return nil
	}
	p.Do(func(ctx context.Context) error { return f.restorecon(ctx, h) }, change.Of("label of "+root, parts[2], f.Type))
	return nil
}
