package policy

import (
	"encoding/json"
	"slices"

	"vigo.dev/pkg/fault"
)

// readModule reads the compact form of a module as package json would, in a third of the time and without what makes a
// declaration large: an agent reads thousands of them.
func readModule(data []byte) (*Module, error) {
	s := newScanner(data)
	m := &Module{}
	var rest remainder
	s.object(func(key string) {
		if key == "resources" {
			m.Resources = s.declarations()
			return
		}
		rest.add(s, key)
	})
	if err := s.end(); err != nil {
		return nil, err
	}
	return m, rest.into(m)
}

// A remainder is an object of what is left to package json.
type remainder []byte

func (r *remainder) add(s *scanner, key string) {
	name, err := json.Marshal(key)
	raw := s.raw()
	if err != nil || len(raw) == 0 {
		s.fail("want a value for %q", key)
		return
	}
	*r = append(append(append(append(*r, ','), name...), ':'), raw...)
}

func (r remainder) into(v any) error {
	if len(r) == 0 {
		return nil
	}
	r[0] = '{'
	return json.Unmarshal(append(r, '}'), v)
}

func (s *scanner) declarations() []Declaration {
	if s.next() == 'n' {
		s.null()
		return nil
	}
	all := []Declaration{}
	began := s.at
	s.list(func() {
		if len(all) == MaxResources {
			s.fail("more than %d resources", MaxResources)
			return
		}
		if len(all) == cap(all) {
			all = slices.Grow(all, s.likely(len(all), s.at-began))
		}
		all = append(all, Declaration{})
		s.declaration(&all[len(all)-1])
	})
	return all
}

// likely is how many more resources come if they are as long as the n that were read from so many bytes: a guess that leaves no
// half of a large list empty.
func (s *scanner) likely(n, read int) int {
	const few = 16
	if n < few {
		return few
	}
	return min(n*(len(s.data)-s.at)/read+1+n/few, MaxResources-n)
}

func (s *scanner) declaration(d *Declaration) {
	var rest remainder
	s.object(func(key string) {
		switch key {
		case "type":
			d.Type = s.str()
		case "identity":
			d.Identity = s.identity()
		case "attrs":
			d.Attrs = s.attrs()
		case "pos":
			s.pos(&d.Pos)
		case "at":
			d.At = s.places()
		case "when":
			s.condition(&d.When)
		case "requires":
			d.Requires = s.texts()
		case "notify":
			d.Notify = s.texts()
		default:
			rest.add(s, key)
		}
	})
	if s.err == nil {
		if err := rest.into(d); err != nil {
			s.fail("%v", err)
		}
	}
}

// str reads a string; null is the empty one.
func (s *scanner) str() string {
	if s.null() {
		return ""
	}
	return s.name()
}

func (s *scanner) identity() string {
	if s.null() {
		return ""
	}
	return s.fresh()
}

func (s *scanner) attrs() map[string]any {
	if s.null() {
		return nil
	}
	m := map[string]any{}
	s.object(func(key string) { m[key] = s.value() })
	return m
}

func (s *scanner) pos(p *fault.Pos) {
	s.object(func(key string) {
		switch key {
		case "file":
			p.File = s.str()
		case "line":
			p.Line = s.number()
		case "col":
			p.Col = s.number()
		default:
			s.skip()
		}
	})
}

func (s *scanner) places() Places {
	if s.null() {
		return nil
	}
	var few [16]Place
	all := few[:0]
	s.object(func(key string) {
		p := Place{Key: key}
		n := 0
		s.list(func() {
			switch n++; n {
			case 1:
				p.Line = int32(s.number())
			case 2:
				p.Col = int32(s.number())
			default:
				s.skip()
			}
		})
		all = append(all, p)
	})
	return append(Places{}, all...)
}

func (s *scanner) condition(t *Text) {
	s.object(func(key string) {
		switch key {
		case "s":
			t.S = s.str()
		case "pos":
			s.pos(&t.Pos)
		default:
			s.skip()
		}
	})
}

func (s *scanner) texts() []Text {
	if s.null() {
		return nil
	}
	all := []Text{}
	s.list(func() {
		all = append(all, Text{})
		s.condition(&all[len(all)-1])
	})
	return all
}

// skip passes over what a later version has added.
func (s *scanner) skip() {
	if raw := s.raw(); !json.Valid(raw) {
		s.fail("%.20q is no value", raw)
	}
}
