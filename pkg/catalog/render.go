package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/template"
)

// maxRendered bounds what one template may make.
const maxRendered = 16 << 20

// dynamic reports whether a value is a template itself. Lists and mappings are looked into one by one.
func dynamic(v any) bool {
	s, ok := v.(string)
	return ok && strings.Contains(s, "{{")
}

var errTooLong = fmt.Errorf("it renders to more than %d bytes", maxRendered)

// templateFuncs are the functions of templates, beside those of text/template.
func templateFuncs() template.FuncMap {
	return template.FuncMap{
		"quote":     func(v any) string { return fmt.Sprintf("%q", fmt.Sprint(v)) },
		"join":      joinAny,
		"lower":     strings.ToLower,
		"upper":     strings.ToUpper,
		"trim":      strings.TrimSpace,
		"split":     func(sep, s string) []string { return strings.Split(s, sep) },
		"replace":   func(old, with, s string) string { return strings.ReplaceAll(s, old, with) },
		"contains":  func(part, s string) bool { return strings.Contains(s, part) },
		"hasPrefix": func(prefix, s string) bool { return strings.HasPrefix(s, prefix) },
		"hasSuffix": func(suffix, s string) bool { return strings.HasSuffix(s, suffix) },
		"indent": func(n int, s string) string {
			return strings.ReplaceAll(s, "\n", "\n"+strings.Repeat(" ", min(max(n, 0), 80)))
		},
		"toJSON": func(v any) (string, error) {
			data, err := json.Marshal(v)
			return string(data), err
		},
		"keep":     func(v any) any { return v },
		secretFunc: placeholder,
	}
}

func joinAny(sep string, list any) (string, error) {
	switch list := list.(type) {
	case []string:
		return strings.Join(list, sep), nil
	case []any:
		parts := make([]string, len(list))
		for i, v := range list {
			parts[i] = fmt.Sprint(v)
		}
		return strings.Join(parts, sep), nil
	}
	return "", fmt.Errorf("join needs a list, not %T", list)
}

func parseTemplate(name, text string) (*template.Template, error) {
	t, err := template.New(name).Option("missingkey=error").Funcs(templateFuncs()).Parse(text)
	if err != nil {
		return nil, syntaxError(name, err)
	}
	return t, nil
}

// renderText renders a template file or a string.
func renderText(name, text string, vars map[string]any) (string, error) {
	t, err := parseTemplate(name, text)
	if err != nil {
		return "", err
	}
	return execute(t, vars)
}

// execute renders a template that was parsed for this once.
func execute(t *template.Template, vars map[string]any) (string, error) {
	t.Funcs(budget()).Funcs(secretValue(vars))
	meter(t)
	var out bytes.Buffer
	if err := t.Execute(&limited{w: &out, left: maxRendered}, vars); err != nil {
		return "", executionError(err)
	}
	return out.String(), nil
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

// renderValue renders the templates in a value. A string that is one action keeps the type of what the action gives.
func renderValue(v any, vars map[string]any) (any, error) {
	switch v := v.(type) {
	case string:
		if !dynamic(v) {
			return v, nil
		}
		if m := oneAction.FindStringSubmatch(v); m != nil {
			return renderAction(m[1], vars)
		}
		return renderText("value", v, vars)
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			var err error
			if list[i], err = renderValue(item, vars); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, item := range v {
			var err error
			if m[key], err = renderValue(item, vars); err != nil {
				return nil, err
			}
		}
		return m, nil
	}
	return v, nil
}

// renderAction evaluates a pipeline and keeps its type.
func renderAction(pipeline string, vars map[string]any) (any, error) {
	var kept any
	t, err := template.New("value").Option("missingkey=error").Funcs(templateFuncs()).
		Funcs(template.FuncMap{"keep": func(v any) any { kept = v; return "" }}).Parse("{{ keep (" + pipeline + ") }}")
	if err != nil {
		return nil, syntaxError("value", err)
	}
	if _, err := execute(t, vars); err != nil {
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
