// Package adopt looks at a machine and says in the language of policies what people made of it: the packages they installed,
// the files they changed, accounts, services, jobs and settings.
//
// It refuses to change the machine, to start a program, and to guess: every resource is planned against the machine before it
// is kept, and one that would change something is left out with the reason. What looks like a secret is left out, too.
package adopt

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Limits of what is looked at.
const (
	// MaxFile is the most bytes of a file, where [Options] does not say otherwise.
	MaxFile = 256 << 10
	// maxTotal is the most bytes of all files together.
	maxTotal = 64 << 20
	// maxEntries is the most directory entries that are looked at.
	maxEntries = 200_000
)

// Options says what to adopt.
type Options struct {
	Kinds *resource.Registry
	// Select is glob patterns of names by resource type; see [Types]. With nothing selected it is what people seem to have made.
	Select map[string][]string
	// Exclude is glob patterns of what to leave alone, as type:name, or of paths.
	Exclude []string
	// MaxFile is the most bytes of one file; [MaxFile] if 0.
	MaxFile int64
}

// Types returns the resource types that are looked for.
func Types() []string {
	return []string{"package", "repository", "file", "directory", "symlink", "service", "user", "group", "authorized_key", "cron",
		"sysctl", "mount", "host_entry", "hostname", "timezone", "alternatives"}
}

// A Result is what there is to adopt.
type Result struct {
	Resources []Resource `json:"resources"`          // by module, in the order they are to be declared
	LeftOut   []LeftOut  `json:"left_out,omitempty"` // by type and name
}

// A Resource is a declaration that the machine conforms to.
type Resource struct {
	Module   string         `json:"module"`
	Type     string         `json:"type"`
	Identity string         `json:"identity"`
	Attrs    map[string]any `json:"attributes,omitempty"`
	Notify   string         `json:"notify,omitempty"`

	data []byte // of the key source
}

// A LeftOut is something that was seen and not adopted.
type LeftOut struct {
	Type string `json:"type"`
	Name string `json:"name"`
	Why  string `json:"why"`
}

// collector gathers what is found.
type collector struct {
	Options
	ctx     context.Context
	h       *host.Host
	db      *database
	result  Result
	seen    map[string]bool // type:identity
	total   int64
	entries int
	users   map[int]string
	groups  map[int]string
	adopted map[string]bool // users
}

// Look finds what there is to adopt on a machine.
func Look(ctx context.Context, h *host.Host, o Options) (Result, error) {
	if o.MaxFile == 0 {
		o.MaxFile = MaxFile
	}
	c := &collector{Options: o, ctx: ctx, h: h, seen: map[string]bool{}, adopted: map[string]bool{}}
	var err error
	if c.db, err = readDatabase(h.FS); err != nil {
		return Result{}, err
	}
	for _, step := range []func() error{c.accounts, c.packages, c.settings, c.alternatives, c.mounts, c.hostEntries, c.sysctls, c.crontabs, c.repositories, c.files, c.services} {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		if err := step(); err != nil {
			return Result{}, err
		}
	}
	c.connect()
	rank := func(r Resource) int { return slices.Index(order, r.Type) }
	slices.SortStableFunc(c.result.Resources, func(a, b Resource) int {
		return cmp.Or(strings.Compare(a.Module, b.Module), rank(a)-rank(b), strings.Compare(a.Identity, b.Identity))
	})
	slices.SortFunc(c.result.LeftOut, func(a, b LeftOut) int {
		return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.Name, b.Name), strings.Compare(a.Why, b.Why))
	})
	c.result.LeftOut = slices.Compact(c.result.LeftOut)
	return c.result, nil
}

// order is that of the types inside of a module.
var order = []string{"package", "repository", "group", "user", "authorized_key", "hostname", "timezone", "host_entry", "directory", "file",
	"symlink", "alternatives", "mount", "sysctl", "cron", "service"}

// wants reports whether something is to be adopted: it was selected, or nothing was and it is usual.
func (c *collector) wants(typ, name string, usual bool) bool {
	for _, pattern := range c.Exclude {
		if matches(pattern, typ+":"+name) || matches(pattern, name) {
			return false
		}
	}
	if len(c.Select) == 0 {
		return usual
	}
	return slices.ContainsFunc(c.Select[typ], func(pattern string) bool { return matches(pattern, name) })
}

// asked reports whether things of a type are looked for at all.
func (c *collector) asked(types ...string) bool {
	return len(c.Select) == 0 || slices.ContainsFunc(types, func(t string) bool { return len(c.Select[t]) > 0 })
}

func (c *collector) leaveOut(typ, name, why string, args ...any) {
	c.result.LeftOut = append(c.result.LeftOut, LeftOut{typ, name, fmt.Sprintf(why, args...)})
}

// offer keeps the first of some ways to declare the same thing to which the machine conforms, and reports whether there was one.
func (c *collector) offer(ways ...Resource) bool {
	why := ""
	for _, r := range ways {
		key := r.Type + ":" + r.Identity
		if c.seen[key] {
			return true
		}
		reason := c.conforms(r)
		if reason == "" {
			c.seen[key] = true
			c.result.Resources = append(c.result.Resources, r)
			return true
		}
		why = cmp.Or(why, reason)
	}
	c.leaveOut(ways[0].Type, ways[0].Identity, "%s", why)
	return false
}

// conforms plans a resource against the machine. It returns why it cannot be adopted; nothing if the machine conforms.
func (c *collector) conforms(r Resource) string {
	if strings.Contains(fmt.Sprint(r.Identity, r.Attrs), "{{") {
		return "it holds {{, which a policy takes for a template"
	}
	kind, ok := c.Kinds.Kind(r.Type)
	if !ok {
		return "there is no such resource type"
	}
	res, problems := kind.Decode(r.Identity, r.Attrs)
	if len(problems) > 0 {
		return strings.ReplaceAll(problems.Error(), "\n", "; ")
	}
	if b, binds := res.(resource.Binder); binds {
		if err := b.Bind(content(r.data)); err != nil {
			return err.Error()
		}
	}
	plan, err := res.Plan(c.ctx, c.h)
	if err != nil {
		return "cannot be looked at: " + err.Error()
	}
	if plan.Empty() {
		return ""
	}
	var fields []string
	for _, change := range plan.Changes() {
		fields = append(fields, change.Field)
	}
	slices.Sort(fields)
	return "a policy would write it in another way (" + strings.Join(slices.Compact(fields), ", ") + ")"
}

// content is the one file that the source of a resource stands for.
type content []byte

var _ resource.Content = content{}

// File implements [resource.Content].
func (b content) File(string) (resource.Blob, error) {
	return resource.Blob{Size: int64(len(b)), Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(b)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}, nil
}

// Template implements [resource.Content].
func (content) Template(string) ([]byte, error) { return nil, fs.ErrNotExist }

// List implements [resource.Content].
func (content) List(string) ([]string, error) { return nil, fs.ErrNotExist }

// connect has the files of a module with one service restart it when they are repaired, and sees to it that services whose
// module holds nothing else stand together.
func (c *collector) connect() {
	services, others := map[string][]string{}, map[string]bool{}
	for _, r := range c.result.Resources {
		if r.Type == "service" {
			services[r.Module] = append(services[r.Module], r.Identity)
		} else {
			others[r.Module] = true
		}
	}
	for i := range c.result.Resources {
		r := &c.result.Resources[i]
		switch {
		case r.Type == "service" && !others[r.Module]:
			r.Module = "services"
		case (r.Type == "file" || r.Type == "symlink") && len(services[r.Module]) == 1 && strings.HasPrefix(r.Identity, "/etc/"):
			r.Notify = "service:" + services[r.Module][0]
		}
	}
}

// matches reports whether a name matches a glob pattern; ** stands for any text, * does not reach over a slash.
func matches(pattern, name string) bool {
	before, after, deep := strings.Cut(pattern, "**")
	if !deep {
		ok, err := path.Match(pattern, name)
		return err == nil && ok
	}
	for at := range len(name) + 1 {
		if ok, err := path.Match(before, name[:at]); err == nil && ok && anyTail(after, name[at:]) {
			return true
		}
	}
	return false
}

// anyTail reports whether some end of a name matches what stands behind **.
func anyTail(pattern, name string) bool {
	for at := range len(name) + 1 {
		if matches(pattern, name[at:]) {
			return true
		}
	}
	return false
}
