package bundle

import (
	"fmt"
	"io/fs"
	"strings"
	"unicode"
)

// pathSet is the paths of a layer so far. The zero value is empty.
type pathSet struct {
	files map[string]bool // true: a file; false: a folder that a file is in
}

// add refuses what could be written outside of a folder, hide another file, or mislead who reads its name.
func (s *pathSet) add(p string, l Limits) error {
	refuse := func(name, detail string) error { return &Refusal{Name: name, Detail: detail, What: quoted(p)} }
	switch {
	case len(p) > l.Path:
		return refuse(BadPath, fmt.Sprintf("the name is longer than %d bytes", l.Path))
	case strings.HasPrefix(p, "/"):
		return refuse(BadPath, "the name is absolute")
	case p == "." || !fs.ValidPath(p):
		return refuse(BadPath, "the name is not a clean path below the folder it is in")
	case strings.Count(p, "/") >= l.Depth:
		return refuse(BadPath, fmt.Sprintf("the name has more than %d elements", l.Depth))
	case strings.ContainsFunc(p, func(r rune) bool { return !unicode.IsPrint(r) }):
		return refuse(BadPath, "the name holds characters that cannot be shown")
	}
	if s.files == nil {
		s.files = map[string]bool{}
	}
	if isFile, there := s.files[p]; there && isFile {
		return refuse(Duplicate, "the file is there twice")
	} else if there {
		return refuse(BadPath, "the name is that of a folder other files are in")
	}
	for i := range p {
		if p[i] != '/' {
			continue
		}
		if s.files[p[:i]] {
			return refuse(BadPath, fmt.Sprintf("%q is a file, not a folder", p[:i]))
		}
		s.files[p[:i]] = false
	}
	s.files[p] = true
	return nil
}
