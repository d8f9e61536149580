package policytest

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
)

// The limits of a test of alerts.
const (
	maxSubjects = 10_000
	maxSteps    = 100_000
)

// readAlertTest reads a test and says all that is wrong with it.
func readAlertTest(file string, data []byte, rules []report.AlertRule) (t AlertTest, problems fault.Problems) {
	fail := func(line int, hint, format string, args ...any) {
		problems = append(problems, fault.Problem{Pos: fault.Pos{File: file, Line: line}, Hint: hint, Msg: fmt.Sprintf(format, args...)})
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		fail(lineOf(err), "", "%s", plainError(err))
		return t, problems
	}
	if len(doc.Content) == 0 {
		fail(1, "", "the document is empty")
		return t, problems
	}
	unknownKeys(doc.Content[0], reflect.TypeFor[AlertTest](), fail)
	if err := doc.Content[0].Decode(&t); err != nil {
		if wrong, ok := err.(*yaml.TypeError); ok {
			for _, text := range wrong.Errors {
				fail(lineOf(fmt.Errorf("%s", text)), "", "%s", lineRule.ReplaceAllString(text, ""))
			}
		} else {
			fail(lineOf(err), "", "%s", plainError(err))
		}
		return t, problems
	}
	if t.Kind != "AlertTest" {
		fail(doc.Content[0].Line, "kind: AlertTest", "the document must be of kind AlertTest")
	}
	checkAlertTest(doc.Content[0], t, rules, fail)
	return t, problems
}

// checkAlertTest finds what can be told without playing.
func checkAlertTest(doc *yaml.Node, t AlertTest, rules []report.AlertRule, fail func(int, string, string, ...any)) {
	var names []string
	for _, r := range rules {
		names = append(names, r.Name)
	}
	for _, name := range t.Rules {
		if !slices.Contains(names, name) {
			fail(lineAt(doc, "rules"), fault.DidYouMean(name, names), "there is no rule %q in alerts", name)
		}
	}
	if len(t.Expect) == 0 && lineAt(doc, "expect") == doc.Line {
		fail(doc.Line, "expect: [] is that nobody is told anything", "the test expects nothing")
	}
	for i, s := range t.Timeline {
		if i > 0 && s.At < t.Timeline[i-1].At || s.At < 0 {
			fail(lineAt(doc, "timeline"), "", "the timeline goes back, to %s", s.At)
		}
	}
	for _, want := range t.Expect {
		kinds, keys := want.words()
		switch {
		case len(kinds) != 1:
			fail(want.line, "firing: RULE/NODE", "an expectation names one of firing, grown, repeat, resolved, inhibited, muted, quarantined and released")
		case want.Quarantined+want.Released != "":
		case !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(keys[0], name+"/") }):
			name, _, _ := strings.Cut(keys[0], "/")
			fail(want.line, fault.DidYouMean(name, names), "there is no rule %q in alerts", name)
		}
	}
}

// lineAt is the line of the value of a key of a document, or that of the document.
func lineAt(doc *yaml.Node, key string) int {
	for i := 0; i+1 < len(doc.Content); i += 2 {
		if doc.Content[i].Value == key {
			return doc.Content[i].Line
		}
	}
	return doc.Line
}

var lineRule = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?line (\d+): `)

func lineOf(err error) int {
	if m := lineRule.FindStringSubmatch(err.Error()); m != nil {
		line, _ := strconv.Atoi(m[1]) // digits
		return line
	}
	return 1
}

func plainError(err error) string { return lineRule.ReplaceAllString(err.Error(), "") }

// unknownKeys finds the keys of a document that the type it is read into does not have.
func unknownKeys(n *yaml.Node, t reflect.Type, fail func(int, string, string, ...any)) {
	switch {
	case t.Kind() == reflect.Pointer:
		unknownKeys(n, t.Elem(), fail)
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			unknownKeys(item, t.Elem(), fail)
		}
	case n.Kind != yaml.MappingNode:
	case t.Kind() == reflect.Map:
		for i := 1; i < len(n.Content); i += 2 {
			unknownKeys(n.Content[i], t.Elem(), fail)
		}
	case t.Kind() == reflect.Struct:
		known := map[string]reflect.Type{}
		for i := range t.NumField() {
			if tag := t.Field(i).Tag.Get("yaml"); tag != "" {
				known[tag] = t.Field(i).Type
			}
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if known[key.Value] != nil {
				unknownKeys(n.Content[i+1], known[key.Value], fail)
				continue
			}
			keys := slices.Sorted(maps.Keys(known))
			hint := fault.DidYouMean(key.Value, keys)
			if hint == "" {
				hint = "known keys: " + strings.Join(keys, ", ")
			}
			fail(key.Line, hint, "%q is not known here", key.Value)
		}
	}
}
