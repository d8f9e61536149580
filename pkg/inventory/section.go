package inventory

import (
	"encoding/json"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"
)

// section is the documents of one trait, taken apart: which of them have which value under which key.
type section struct {
	trait   string
	ids     map[string]uint32 // digest to number of the document; 0 is no document
	digests []string          // by number
	uses    []int             // by how many nodes, by number
	of      []uint32          // number of the document of each node, by its slot; those behind the end have none
	free    []uint32          // numbers that can be given again
	unused  *roaring.Bitmap   // documents no node has
	columns map[string]column
	opaque  bool // there are documents that are no mapping: keys do not say all
}

// column is the documents that have a value, under one key.
type column map[string]posting

// posting is the documents that have one value. There are many that one document has alone, such as names and addresses: these
// take no memory of their own.
type posting struct {
	one  uint32          // number of the only document; 0: there are several
	many *roaring.Bitmap // these
}

// with is a posting with another document; that of the zero posting is the only one.
func (p posting) with(id uint32) posting {
	switch {
	case p.many != nil:
		p.many.Add(id)
		return p
	case p.one == 0 || p.one == id:
		return posting{one: id}
	}
	return posting{many: roaring.BitmapOf(p.one, id)}
}

// without is a posting without some documents; false: there are no others.
func (p posting) without(gone *roaring.Bitmap) (posting, bool) {
	if p.many == nil {
		return p, !gone.Contains(p.one)
	}
	p.many.AndNot(gone)
	switch p.many.GetCardinality() {
	case 0:
		return posting{}, false
	case 1:
		return posting{one: p.many.Minimum()}, true
	}
	return p, true
}

// each calls do with the number of each document.
func (p posting) each(do func(id uint32)) {
	if p.many == nil {
		do(p.one)
		return
	}
	for it := p.many.ManyIterator(); ; {
		var some [512]uint32
		got := it.NextMany(some[:])
		if got == 0 {
			return
		}
		for _, id := range some[:got] {
			do(id)
		}
	}
}

func newSection(trait string) *section {
	return &section{trait: trait, ids: map[string]uint32{}, digests: []string{""}, uses: []int{0}, unused: roaring.New(), columns: map[string]column{}}
}

// add takes a document apart. One that is no mapping has no keys, and is looked at as a whole.
func (s *section) add(digest string, doc []byte) error {
	if _, known := s.ids[digest]; known {
		return nil
	}
	var keys map[string]json.RawMessage
	if len(doc) > 0 && doc[0] == '{' {
		if err := json.Unmarshal(doc, &keys); err != nil {
			return fmt.Errorf("reading document %s: %w", digest, err)
		}
	} else {
		s.opaque = true
	}
	id := s.number(digest)
	for key, value := range keys {
		c, ok := s.columns[key]
		if !ok {
			c = column{}
			s.columns[key] = c
		}
		was := c[string(value)]
		if is := was.with(id); is != was {
			c[string(value)] = is
		}
	}
	return nil
}

func (s *section) number(digest string) uint32 {
	var id uint32
	if n := len(s.free); n > 0 {
		id, s.free = s.free[n-1], s.free[:n-1]
		s.digests[id] = digest
	} else {
		id = uint32(len(s.digests))
		s.digests, s.uses = append(s.digests, digest), append(s.uses, 0)
	}
	s.ids[digest] = id
	s.unused.Add(id)
	return id
}

// at returns the number of the document of a node.
func (s *section) at(slot uint32) uint32 {
	if int(slot) < len(s.of) {
		return s.of[slot]
	}
	return 0
}

// set gives a node another document.
func (s *section) set(slot, id uint32) {
	if int(slot) >= len(s.of) {
		s.of = append(s.of, make([]uint32, int(slot)+1-len(s.of))...)
	}
	s.use(s.of[slot], -1)
	s.use(id, 1)
	s.of[slot] = id
}

func (s *section) use(id uint32, n int) {
	if id == 0 {
		return
	}
	s.uses[id] += n
	if s.uses[id] > 0 {
		s.unused.Remove(id)
	} else {
		s.unused.Add(id)
	}
}

// sweep forgets the documents no node has.
func (s *section) sweep() {
	for key, c := range s.columns {
		for value, docs := range c {
			if left, some := docs.without(s.unused); some {
				c[value] = left
			} else {
				delete(c, value)
			}
		}
		if len(c) == 0 {
			delete(s.columns, key)
		}
	}
	for _, id := range s.unused.ToArray() {
		delete(s.ids, s.digests[id])
		s.digests[id] = ""
		s.free = append(s.free, id)
	}
	s.unused.Clear()
}

// values is a column the other way round: the value of each document, as an index into the list; 0 is none.
func (s *section) values(key string) (of []uint32, list []string) {
	of, list = make([]uint32, len(s.digests)), []string{""}
	for value, docs := range s.columns[key] {
		n := uint32(len(list))
		list = append(list, value)
		docs.each(func(id uint32) { of[id] = n })
	}
	return of, list
}
