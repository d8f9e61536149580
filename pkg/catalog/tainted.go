package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
)

// secretive is what a declaration has to do with secrets on this node.
type secretive struct {
	keys  []string        // attributes that hold one, sorted
	names map[string]bool // of the secrets
	body  bool            // a template of the module takes one in
}

func (s secretive) tainted() bool { return len(s.keys) > 0 || s.body }

func (s *secretive) note(names []string) {
	if s.names == nil {
		s.names = map[string]bool{}
	}
	for _, name := range names {
		s.names[name] = true
	}
}

// secretsIn finds which attributes of a declaration hold secrets.
func secretsIn(d *policy.Declaration, e env) (s secretive) {
	for key, v := range d.Attrs {
		if s, plain := v.(string); plain && !dynamic(s) {
			continue
		}
		if names, tainted := e.taint.of(usesOfValue(v, e.taint).with(e)); tainted {
			s.keys = append(s.keys, key)
			s.note(names)
		}
	}
	slices.Sort(s.keys)
	return s
}

// problems takes the values out of what is wrong with a declaration: what is said of an attribute that holds a secret would
// quote it.
func (s secretive) problems(typ string, problems fault.Problems) fault.Problems {
	if !s.tainted() {
		return problems
	}
	for i, p := range problems {
		key, _, _ := strings.Cut(p.Path, ".")
		key, _, _ = strings.Cut(key, "[")
		if p.Code == "missing-key" || p.Code == "unknown-key" || key != "" && !slices.Contains(s.keys, key) {
			continue
		}
		problems[i].Msg, problems[i].Hint = "a value that holds a secret, and is not shown, cannot be used here", s.advice(typ)
	}
	return problems
}

// advice names the attributes that hold a secret, of which none can be quoted.
func (s secretive) advice(typ string) string {
	if len(s.keys) == 0 {
		return ""
	}
	return fmt.Sprintf("look at the secret in %s: `vigo explain %s` says what that must be", strings.Join(s.keys, ", "), typ)
}

// missing returns why the resource cannot be made on this node, or nil: the first secret, by name, that is not there.
func (b *builder) missing(s secretive) error {
	if len(s.names) == 0 {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.names)) {
		why := b.secrets.lacks(b.policy, name)
		if why == "" {
			continue
		}
		if wait := b.secrets.awaited(name); wait != nil {
			return wait
		}
		return fault.WithHint(fmt.Errorf("secret %s cannot be used: %s", name, why), "docs/secrets.md says what to look at")
	}
	return nil
}

// taintedMeta says what of a resource may be shown.
func taintedMeta(meta *resource.Meta, d *policy.Declaration, s secretive) {
	if !s.tainted() {
		return
	}
	meta.Tainted = true
	// What these fields say comes from attributes of the same name, whatever else the resource holds.
	shown := []string{"ensure", "mode", "owner", "group"}
	for key := range d.Attrs {
		if key != "content" && !slices.Contains(shown, key) {
			shown = append(shown, key)
		}
	}
	shown = slices.DeleteFunc(shown, func(key string) bool { return slices.Contains(s.keys, key) })
	slices.Sort(shown)
	meta.Shown = shown
}

// confide tells a resource that it holds secrets.
func confide(res resource.Resource) error {
	if c, ok := res.(resource.Confidant); ok {
		return c.Confide()
	}
	return nil
}

// paramTaint returns the secrets that the value of a parameter holds, and whether it is to be treated as one.
func paramTaint(spec policy.Param, v any, e env) ([]string, bool) {
	u := usesOfValue(v, nil).with(e)
	return slices.Sorted(maps.Keys(u.secrets)), spec.Type == secretFunc || len(u.secrets) > 0
}

func secretiveOf(names []string) (s secretive) {
	s.note(names)
	return s
}

// describe is the value for people, unless it holds a secret.
func (c Candidate) describe() string {
	if c.tainted {
		return "a secret, which is not shown,"
	}
	return resource.Describe(c.Value)
}
