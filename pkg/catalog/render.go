package catalog

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"regexp"
	"strings"
	"text/template"

	"vigo.dev/pkg/policy"
)

// maxRendered bounds what one template may make.
const maxRendered = 16 << 20

// maxIncludes bounds how deep templates may include each other.
const maxIncludes = 16

// dynamic reports whether a value is a template itself. Lists and mappings are looked into one by one.
func dynamic(v any) bool {
	s, ok := v.(string)
	return ok && strings.Contains(s, "{{")
}

var errTooLong = fmt.Errorf("it renders to more than %d bytes", maxRendered)

// includeFunc is the name of the function that puts a template into another.
const includeFunc = "include"

var errTooDeep = fmt.Errorf("templates include each other deeper than %d", maxIncludes)

// env is what the templates of one place are rendered with.
type env struct {
	vars    map[string]any
	module  string          // whose templates may be included
	content *policy.Content // nil: nothing can be included
	within  []string        // the templates that are being included, outermost first
	taint   taint           // of the parameters, and of the item of a foreach
	spent   *spent          // of the template that is being rendered; nil: none is
	total   *int            // turns of all templates of a catalog; nil: they are not counted
	read    map[string]uses // templates whose uses are known; nil: they are not kept
}

// own returns an env whose names can be changed without those of e, with room for some more.
func (e env) own() env {
	vars := make(map[string]any, len(e.vars)+2)
	maps.Copy(vars, e.vars)
	e.vars = vars
	return e
}

// parse parses a template whose functions count against what it may spend.
func (e env) parse(name, text string, more template.FuncMap) (*template.Template, error) {
	t, err := template.New(name).Option("missingkey=error").Funcs(e.spent.funcs()).Funcs(template.FuncMap{includeFunc: e.include}).Funcs(more).Parse(text)
	if err != nil {
		return nil, syntaxError(name, err)
	}
	return t, nil
}

// text renders a template file or a string.
func (e env) text(name, text string) (string, error) {
	if e.spent == nil {
		e.spent = &spent{total: e.total}
	}
	t, err := e.parse(name, text, nil)
	if err != nil {
		return "", err
	}
	return e.execute(t, e.vars)
}

// execute renders a template that was parsed for this once.
func (e env) execute(t *template.Template, data any) (string, error) {
	t.Funcs(e.spent.counter()).Funcs(secretValue(e.vars))
	meter(t)
	var out bytes.Buffer
	if err := t.Execute(&limited{w: &out, left: maxRendered}, data); err != nil {
		return "", executionError(err)
	}
	return out.String(), nil
}

// include renders a template of the module, or a shared one, over data; without data over the names of a policy.
func (e env) include(name string, data ...any) (string, error) {
	if e.content == nil {
		return "", fmt.Errorf("there are no templates to include here")
	}
	if len(data) > 1 {
		return "", fmt.Errorf("include takes a name and at most one value")
	}
	e.within = append(e.within[:len(e.within):len(e.within)], name)
	if len(e.within) > maxIncludes {
		return "", fmt.Errorf("%w: %s …", errTooDeep, strings.Join(e.within[:4], " -> "))
	}
	text, err := e.content.Template(e.module, name)
	if err != nil {
		return "", err
	}
	if err := e.spent.include(text); err != nil {
		return "", err
	}
	t, err := e.parse(name, text, nil)
	if err != nil {
		return "", fmt.Errorf("templates/%s: %w", name, err)
	}
	over := any(e.vars)
	if len(data) == 1 {
		over = data[0]
	}
	out, err := e.execute(t, over)
	if err != nil {
		return "", fmt.Errorf("templates/%s: %w", name, err)
	}
	return e.spent.made(out)
}

type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errTooLong
	}
	return l.w.Write(p)
}

var oneAction = regexp.MustCompile(`^\{\{-?\s*([^{}]+?)\s*-?\}\}$`)

// value renders the templates in a value. A string that is one action keeps the type of what the action gives.
func (e env) value(v any) (any, error) {
	switch v := v.(type) {
	case string:
		if !dynamic(v) {
			return v, nil
		}
		if m := oneAction.FindStringSubmatch(v); m != nil {
			if kept, ok := e.path(m[1]); ok {
				return kept, nil
			}
			return e.action(m[1])
		}
		if text, ok := e.plain(v); ok {
			return text, nil
		}
		return e.text("value", v)
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			var err error
			if list[i], err = e.value(item); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, item := range v {
			var err error
			if m[key], err = e.value(item); err != nil {
				return nil, err
			}
		}
		return m, nil
	}
	return v, nil
}

// action evaluates a pipeline and keeps its type.
func (e env) action(pipeline string) (any, error) {
	var kept any
	e.spent = &spent{total: e.total}
	keep := template.FuncMap{"keep": func(v any) any { kept = v; return "" }}
	t, err := e.parse("value", "{{ keep ("+pipeline+") }}", keep)
	if err != nil {
		return nil, err
	}
	if _, err := e.execute(t, e.vars); err != nil {
		return nil, err
	}
	if list, ok := kept.([]string); ok {
		all := make([]any, len(list))
		for i, s := range list {
			all[i] = s
		}
		return all, nil
	}
	return kept, nil
}
