package adopt

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/policyfmt"
)

// Naming says what modules and role are called.
type Naming struct {
	Node   string // the machine, as agents call it
	Role   string // its role
	Prefix string // before the name of each module
}

// first is the modules that others need, in the order they are to be converged in.
var first = []string{"repositories", "packages", "accounts", "system", "network", "kernel", "storage"}

// last is the modules that need others.
var last = []string{"services", "cron"}

// Files renders the result as files of a policy repository, laid out as [policyfmt] does, and a page that says what was left out.
func (r Result) Files(f *policyfmt.Formatter, n Naming) (map[string][]byte, error) {
	files := map[string][]byte{}
	modules := map[string][]Resource{}
	for _, res := range r.Resources {
		modules[res.Module] = append(modules[res.Module], res)
	}
	var names []string
	for _, module := range slices.SortedFunc(maps.Keys(modules), byNeed) {
		name := n.Prefix + module
		names = append(names, name)
		doc := mapping("kind", scalar("Module"), "about", scalar(aboutOf(module, n.Node)))
		resources := &yaml.Node{Kind: yaml.SequenceNode}
		for _, res := range modules[module] {
			resources.Content = append(resources.Content, res.node())
			if source, ok := res.Attrs["source"].(string); ok {
				files[path.Join("modules", name, "files", source)] = res.data
			}
		}
		doc.Content = append(doc.Content, scalar("resources"), resources)
		if err := put(files, f, path.Join("modules", name, "module.yaml"), doc); err != nil {
			return nil, err
		}
	}
	role := mapping("kind", scalar("Role"), "about", scalar("What "+n.Node+" was when it was adopted."), "when", scalar("node == "+strconv.Quote(n.Node)), "modules", encode(names))
	if err := put(files, f, path.Join("roles", n.Role+".yaml"), role); err != nil {
		return nil, err
	}
	files["adopted/"+n.Role+".md"] = r.page(n)
	return files, nil
}

func put(files map[string][]byte, f *policyfmt.Formatter, name string, doc *yaml.Node) error {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	text, err := f.Format(name, b.Bytes())
	files[name] = text
	return err
}

// page tells people what they have to look at.
func (r Result) page(n Naming) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s, as it was adopted\n\n%d resources. `vigo-agent apply --policy . --dry-run` on the machine shows that nothing would change.\n", n.Node, len(r.Resources))
	if len(r.LeftOut) == 0 {
		return []byte(b.String())
	}
	b.WriteString("\nSeen and left out:\n\n| type | what | why |\n|---|---|---|\n")
	cell := strings.NewReplacer("|", `\|`, "\n", " ")
	for _, l := range r.LeftOut {
		fmt.Fprintf(&b, "| %s | `%s` | %s |\n", l.Type, cell.Replace(l.Name), cell.Replace(l.Why))
	}
	return []byte(b.String())
}

// byNeed orders modules: what others need, then by name, then what needs others.
func byNeed(a, b string) int {
	rank := func(m string) int {
		if at := slices.Index(first, m); at >= 0 {
			return at
		}
		return len(first) + 1 + slices.Index(last, m)
	}
	if d := rank(a) - rank(b); d != 0 {
		return d
	}
	return strings.Compare(a, b)
}

func aboutOf(module, node string) string {
	known := map[string]string{
		"packages": "Packages that were chosen", "accounts": "Users, groups and keys", "services": "Units that are switched on or off", "system": "Name and time zone",
		"cron": "Jobs", "kernel": "Parameters and modules of the kernel", "storage": "File systems", "network": "Names of other machines",
		"repositories": "Where packages come from", "etc": "Single files in /etc", "local": "What is in /usr/local",
	}
	if text := known[module]; text != "" {
		return text + ", as found on " + node + "."
	}
	return "What " + module + " needs, as found on " + node + "."
}

// node renders a declaration; the order of its keys is the formatter's matter.
func (r Resource) node() *yaml.Node {
	n := mapping(r.Type, encode(r.Identity))
	for _, key := range slices.Sorted(maps.Keys(r.Attrs)) {
		v := encode(r.Attrs[key])
		switch text, isText := r.Attrs[key].(string); {
		case isText && key == "content":
			v.Style = yaml.LiteralStyle
			if !strings.Contains(text, "\n") {
				v.Style = yaml.DoubleQuotedStyle
			}
		case v.Kind == yaml.SequenceNode && len(fmt.Sprint(r.Attrs[key])) < 80:
			v.Style = yaml.FlowStyle
		}
		n.Content = append(n.Content, scalar(key), v)
	}
	if r.Notify != "" {
		n.Content = append(n.Content, scalar("notify"), scalar(r.Notify))
	}
	return n
}

func mapping(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i+1 < len(pairs); i += 2 {
		n.Content = append(n.Content, scalar(pairs[i].(string)), pairs[i+1].(*yaml.Node))
	}
	return n
}

func scalar(s string) *yaml.Node { return encode(s) }

// encode makes a node of a value. Values here are strings, numbers, booleans and lists of strings, which can all be encoded.
func encode(v any) *yaml.Node {
	var n yaml.Node
	if err := n.Encode(v); err != nil {
		panic(fmt.Sprintf("adopt: encoding %T: %v", v, err))
	}
	return &n
}
