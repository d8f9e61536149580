package resource_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

func TestSplitWords(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		`sshd -t -f {}`:      {"sshd", "-t", "-f", "{}"},
		` a  "b c" 'd "e"' `: {"a", "b c", `d "e"`},
		`a\ b "c\"d" 'e\f'`:  {"a b", `c"d`, `e\f`},
		`"" ''`:              {"", ""},
		`$HOME *.c | x`:      {"$HOME", "*.c", "|", "x"},
	} {
		got, err := resource.SplitWords(line)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: got %q, %v", line, got, err)
		}
	}
	for _, line := range []string{`"a`, `a'`, `a\`} {
		if got, err := resource.SplitWords(line); err == nil {
			t.Errorf("%s: got %q", line, got)
		}
	}
}

// thing has an attribute of every type that can be decoded.
type thing struct {
	Name   string            `vigo:"identity"`
	Text   string            `yaml:"text" vigo:"required"`
	Opt    *string           `yaml:"opt"`
	Flag   bool              `yaml:"flag"`
	Number int               `yaml:"number"`
	Mode   *resource.Mode    `yaml:"mode"`
	Wait   resource.Duration `yaml:"wait"`
	Check  resource.Argv     `yaml:"check"`
	State  string            `yaml:"state" vigo:"enum=up|down"`
	List   []string          `yaml:"list"`
	Map    map[string]int    `yaml:"map"`
	Parts  []part            `yaml:"parts"`
	Any    any               `yaml:"any"`
}

type part struct {
	Size int `yaml:"size" vigo:"required"`
}

func (*thing) Plan(context.Context, *host.Host) (resource.Plan, error) { return resource.Plan{}, nil }

func TestDecodeNamesEveryMistake(t *testing.T) {
	t.Parallel()
	kind := resource.KindOf[thing]("thing")
	good := map[string]any{"text": "a", "opt": "b", "flag": true, "number": 3.0, "mode": "4755", "wait": "1m30s",
		"check": "a b", "state": "up", "list": []any{"x"}, "map": map[string]any{"k": 1}, "parts": []any{map[string]any{"size": 2}}, "any": []any{1}}
	if _, problems := kind.Decode("x", good); problems.Err() != nil {
		t.Fatal(problems)
	}
	for want, bad := range map[string]map[string]any{
		`thing needs the key "text"`:                                 {},
		`unknown key "txet" (did you mean "text"?)`:                  {"text": "a", "txet": "b"},
		`text: want a string, got the number 1 (put it in quotes)`:   {"text": 1},
		`flag: want true or false, got the string "yes"`:             {"text": "a", "flag": "yes"},
		`number: want a whole number, got the number 1.5`:            {"text": "a", "number": 1.5},
		`got the string "1000" (write 1000, without quotes)`:         {"text": "a", "number": "1000"},
		`mode: want a quoted string, got the number 420`:             {"text": "a", "mode": 420},
		`mode: "rw" is not a file mode`:                              {"text": "a", "mode": "rw"},
		`mode: "99999" is not a file mode`:                           {"text": "a", "mode": "99999"},
		`wait: "5" is not a duration`:                                {"text": "a", "wait": "5"},
		`check: want a list of strings, got the number 1 in it (put`: {"text": "a", "check": []any{1}},
		`check: the command is empty`:                                {"text": "a", "check": " "},
		`state: "upp" is not one of up, down (did you mean "up"?)`:   {"text": "a", "state": "upp"},
		`list: want a list, got the string "x"`:                      {"text": "a", "list": "x"},
		`list[0]: want a string, got a mapping`:                      {"text": "a", "list": []any{map[string]any{}}},
		`map.k: want a whole number, got the string "v"`:             {"text": "a", "map": map[string]any{"k": "v"}},
		`parts[0]: unknown key "siez" (did you mean "size"?)`:        {"text": "a", "parts": []any{map[string]any{"size": 1, "siez": 1}}},
		`parts needs the key "size"`:                                 {"text": "a", "parts": []any{map[string]any{}}},
	} {
		_, problems := kind.Decode("x", bad)
		if err := problems.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s, got: %v", want, err)
		}
		if err := kind.Check("x", bad, func(any) bool { return false }).Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check: want %s, got: %v", want, err)
		}
	}
	if _, problems := kind.Decode("", good); problems.Err() == nil {
		t.Error("an empty identity was accepted")
	}
}

func TestCheckPassesOverTemplates(t *testing.T) {
	t.Parallel()
	kind := resource.KindOf[thing]("thing")
	dynamic := func(v any) bool { s, ok := v.(string); return ok && strings.Contains(s, "{{") }
	attrs := map[string]any{"text": "{{ .x }}", "flag": "{{ .y }}", "number": "wrong", "list": []any{"{{ .z }}", 1}}
	got := kind.Check("x", attrs, dynamic)
	if len(got) != 2 {
		t.Errorf("want the two mistakes in number and list[1], got:\n%v", got)
	}
}

func TestMistakesInAStructPanic(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(){
		"no identity":         func() { resource.KindOf[noIdentity]("x") },
		"key of the identity": func() { resource.KindOf[thing]("text") },
		"twice":               func() { resource.NewRegistry(resource.KindOf[thing]("a"), resource.KindOf[thing]("a")) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			make()
		}()
	}
}

type noIdentity struct {
	Text string `yaml:"text"`
}

func (*noIdentity) Plan(context.Context, *host.Host) (resource.Plan, error) {
	return resource.Plan{}, nil
}

func FuzzSplitWords(f *testing.F) {
	f.Add(`a "b c" 'd' \e`)
	f.Fuzz(func(t *testing.T, line string) {
		words, err := resource.SplitWords(line)
		if err != nil && words != nil {
			t.Errorf("%q: words with an error", line)
		}
	})
}
