package fault

import (
	"fmt"
	"sort"
	"strings"
)

// A Pos is a place in a file; lines and columns count from 1, and 0 means unknown.
type Pos struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
	Col  int    `json:"col,omitempty"`
}

// String renders the place as file:line:column, leaving out what is unknown.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// A Problem is one mistake in something a person wrote, with the place and, where there is one, the remedy.
type Problem struct {
	Pos  Pos    `json:"pos"`
	Path string `json:"path,omitempty"` // where in the document, such as "resources[3].file.mode"
	Msg  string `json:"msg"`
	Hint string `json:"hint,omitempty"`
	Code string `json:"code,omitempty"` // stable name of the kind of mistake, such as "unknown-key"
}

// Error implements error.
func (p Problem) Error() string {
	s := p.Msg
	if path := p.within(); path != "" {
		s = path + ": " + s
	}
	if at := p.Pos.String(); at != "" {
		s = at + ": " + s
	}
	if p.Hint != "" {
		s += " (" + p.Hint + ")"
	}
	return s
}

// within is the path, without its last element when the message names that itself.
func (p Problem) within() string {
	parent, last := "", p.Path
	if at := strings.LastIndexByte(p.Path, '.'); at >= 0 {
		parent, last = p.Path[:at], p.Path[at+1:]
	}
	if strings.HasSuffix(p.Msg, fmt.Sprintf("%q", last)) {
		return parent
	}
	return p.Path
}

// Problems is everything that is wrong at once, as one error.
type Problems []Problem

// Error lists the problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the single problems to errors.As.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// Err returns the problems sorted by place, or nil when there are none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	sort.SliceStable(ps, func(i, j int) bool {
		a, b := ps[i].Pos, ps[j].Pos
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Col < b.Col
	})
	return ps
}
