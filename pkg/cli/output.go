package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
)

// A Format is how a command writes its result.
type Format string

// The formats.
const (
	Table Format = "table" // for people
	Wide  Format = "wide"  // for people, with everything
	JSON  Format = "json"  // for programs; the schema only grows
	YAML  Format = "yaml"  // the same document
	Name  Format = "name"  // one name a line
)

// FormatFlag adds -o to a command. The first of allowed is the default.
func FormatFlag(c *cobra.Command, f *Format, allowed ...Format) {
	*f = allowed[0]
	ChoiceFlag(c, f, "output", "o", "output format", allowed...)
}

// ChoiceFlag adds a flag that takes one of some words; what it points to holds the default.
func ChoiceFlag[T ~string](c *cobra.Command, p *T, name, shorthand, usage string, allowed ...T) {
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	c.Flags().VarP(&choice[T]{p, words}, name, shorthand, usage+": "+strings.Join(words, ", "))
	// A command that registers its flag twice is a programmer's mistake, which cobra reports here.
	cobra.CheckErr(c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)))
}

// choice is the value of a flag that takes one of some words.
type choice[T ~string] struct {
	p       *T
	allowed []string
}

func (v *choice[T]) String() string { return string(*v.p) }

// Type implements pflag.Value.
func (v *choice[T]) Type() string { return "word" }

// Set implements pflag.Value.
func (v *choice[T]) Set(s string) error {
	if !slices.Contains(v.allowed, s) {
		return fault.WithHint(errors.New("it is none of the words that can be given"), "use one of "+strings.Join(v.allowed, ", "))
	}
	*v.p = T(s)
	return nil
}

// Document writes v as JSON or YAML, and reports whether the format is one of these.
func (e *Env) Document(f Format, v any) (done bool, err error) {
	switch f {
	case JSON:
		enc := json.NewEncoder(e.Stdout)
		enc.SetIndent("", "  ")
		return true, enc.Encode(v)
	case YAML:
		data, err := toYAML(v)
		if err != nil {
			return true, err
		}
		_, err = e.Stdout.Write(data)
		return true, err
	}
	return false, nil
}

// Line writes v as JSON on one line: for output that goes on.
func (e *Env) Line(v any) error { return json.NewEncoder(e.Stdout).Encode(v) }

// toYAML renders v under the names of its JSON form.
func toYAML(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	blockStyle(&doc)
	return yaml.Marshal(&doc)
}

// blockStyle takes the braces and quotes of JSON away where YAML does not need them. Words such as yes and no keep theirs:
// to YAML 1.1, which many programs read, they are not strings.
func blockStyle(n *yaml.Node) {
	n.Style = 0
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		if text, err := yaml.Marshal(n.Value); err == nil && (text[0] == '"' || text[0] == '\'') {
			n.Style = yaml.DoubleQuotedStyle
		}
	}
	for _, child := range n.Content {
		blockStyle(child)
	}
}

// Columns writes rows aligned under headers; every row has as many cells as there are headers. Further lines of a cell stand
// below its first, in its column: what a node says cannot pass for a row of another.
func (e *Env) Columns(headers []string, rows [][]string) error {
	w := tabwriter.NewWriter(e.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(headers, "\t"))
	for _, row := range rows {
		for _, line := range physical(row) {
			fmt.Fprintln(w, strings.Join(line, "\t"))
		}
	}
	return w.Flush()
}

// tabs would begin another column.
var tabs = strings.NewReplacer("\t", " ", "\v", " ", "\f", " ")

// physical are the lines of a row, each with a cell for every column.
func physical(row []string) [][]string {
	lines := [][]string{make([]string, len(row))}
	for column, cell := range row {
		for i, text := range strings.Split(strings.TrimRight(cell, "\n"), "\n") {
			if i == len(lines) {
				lines = append(lines, make([]string, len(row)))
			}
			lines[i][column] = tabs.Replace(text)
		}
	}
	return lines
}

// Paint colours text on a terminal: "red", "yellow", "green", "dim" or "bold".
func (e *Env) Paint(colour, text string) string {
	codes := map[string]string{"red": "31", "yellow": "33", "green": "32", "dim": "2", "bold": "1"}
	if !e.Colour || codes[colour] == "" {
		return text
	}
	return "\x1b[" + codes[colour] + "m" + text + "\x1b[0m"
}

// Say writes one line to standard error: progress and advice, not results.
func (e *Env) Say(format string, args ...any) { fmt.Fprintf(e.Stderr, format+"\n", args...) }
