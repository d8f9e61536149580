// Package inventory finds nodes by what they say of themselves: which have a package older than this, what versions are
// there, who has what.
//
// It keeps no documents, only which node has which, and which of them have which value under each of their keys; nodes
// that are the same in all a condition looks at are judged once. It refuses to judge (package expr does) and to store
// anything: who owns the documents gives them again after a restart.
package inventory

import (
	"maps"
	"slices"
	"sync"
)

// An Index is what all nodes say. It is safe for concurrent use. The zero value is not usable.
type Index struct {
	mu       sync.RWMutex
	sections map[string]*section // by trait
	nodes    map[string]*entry
	names    []string           // of nodes, sorted; nil: to be made anew
	order    []*entry           // of names
	slots    uint32             // that were given to nodes
	free     []uint32           // slots that can be given again
	waiting  map[named][]string // nodes that have named a document which is not here yet
}

// named is a document by its names.
type named struct{ trait, digest string }

// entry is one node.
type entry struct {
	slot   uint32 // where sections have what it has
	labels map[string]string
	docs   map[string]string // trait to digest, as it said
}

// New makes an empty index.
func New() *Index {
	return &Index{sections: map[string]*section{}, nodes: map[string]*entry{}, waiting: map[named][]string{}}
}

// Put takes what a node says: its labels, and the digest of each of its traits. The maps are not changed afterwards. It
// returns the documents that are to be added before it is found by them, without those that other nodes wait for already.
func (x *Index) Put(node string, labels, facets map[string]string) (lacking []Document) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, known := x.nodes[node]
	if !known {
		e = &entry{slot: x.slot()}
		x.nodes[node], x.names, x.order = e, nil, nil
	}
	for trait, digest := range e.docs {
		if facets[trait] != digest {
			x.release(e, trait)
		}
	}
	e.labels, e.docs = labels, facets
	for trait, digest := range facets {
		if x.has(e, trait) == 0 {
			if !x.hold(e, trait, digest) {
				at := named{trait, digest}
				if x.waiting[at] == nil {
					lacking = append(lacking, Document{Trait: trait, Digest: digest})
				}
				x.waiting[at] = append(x.waiting[at], node)
			}
		}
	}
	return lacking
}

// Shared returns what a node says of its traits in texts that are here already: many nodes say the same.
func (x *Index) Shared(facets map[string]string) map[string]string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	same := make(map[string]string, len(facets))
	for trait, digest := range facets {
		if s := x.sections[trait]; s != nil {
			trait = s.trait
			if id, known := s.ids[digest]; known {
				digest = s.digests[id]
			}
		}
		same[trait] = digest
	}
	return same
}

// slot gives a place to a node.
func (x *Index) slot() uint32 {
	if n := len(x.free); n > 0 {
		slot := x.free[n-1]
		x.free = x.free[:n-1]
		return slot
	}
	x.slots++
	return x.slots - 1
}

// has returns the number of the document that a node has of a trait; 0: none that is known.
func (x *Index) has(e *entry, trait string) uint32 {
	if s := x.sections[trait]; s != nil {
		return s.at(e.slot)
	}
	return 0
}

func (x *Index) hold(e *entry, trait, digest string) bool {
	s := x.sections[trait]
	if s == nil {
		return false
	}
	id, there := s.ids[digest]
	if there {
		s.set(e.slot, id)
	}
	return there
}

func (x *Index) release(e *entry, trait string) {
	if s := x.sections[trait]; s != nil {
		s.set(e.slot, 0)
	}
}

// Remove forgets a node.
func (x *Index) Remove(node string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, known := x.nodes[node]
	if !known {
		return
	}
	for trait := range e.docs {
		x.release(e, trait)
	}
	delete(x.nodes, node)
	x.free = append(x.free, e.slot)
	x.names, x.order = nil, nil
}

// A Document is the document of a trait.
type Document struct {
	Trait, Digest string
	Doc           []byte
}

// spare is how many documents without a node may wait before they are forgotten.
const spare = 1000

// Add takes documents, for the nodes that have said or will say that they have them. What cannot be read is left out, and
// the error says what.
func (x *Index) Add(docs ...Document) (err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, d := range docs {
		s := x.sections[d.Trait]
		if s == nil {
			s = newSection(d.Trait)
			x.sections[d.Trait] = s
		}
		if n := int(s.unused.GetCardinality()); n > spare && n > len(s.ids)/2 {
			s.sweep()
		}
		if e := s.add(d.Digest, d.Doc); e != nil {
			err = e
			continue
		}
		x.settle(named{d.Trait, d.Digest})
	}
	return err
}

// settle gives the nodes that wait for a document what they have named.
func (x *Index) settle(at named) {
	for _, node := range x.waiting[at] {
		if e, known := x.nodes[node]; known && e.docs[at.trait] == at.digest && x.has(e, at.trait) == 0 {
			x.hold(e, at.trait, at.digest)
		}
	}
	delete(x.waiting, at)
}

// Nodes is how many there are.
func (x *Index) Nodes() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.nodes)
}

// Lacking returns the documents that nodes wait for.
func (x *Index) Lacking() []Document {
	x.mu.RLock()
	defer x.mu.RUnlock()
	list := make([]Document, 0, len(x.waiting))
	for at, nodes := range x.waiting {
		if slices.ContainsFunc(nodes, func(node string) bool { return x.waits(node, at) }) {
			list = append(list, Document{Trait: at.trait, Digest: at.digest})
		}
	}
	return list
}

func (x *Index) waits(node string, at named) bool {
	e, known := x.nodes[node]
	return known && e.docs[at.trait] == at.digest && x.has(e, at.trait) == 0
}

// sorted returns the names of all nodes, and in the same order the nodes; they are not changed afterwards. The caller holds the
// lock for reading from then on, and gives it back.
func (x *Index) sorted() ([]string, []*entry) {
	for {
		x.mu.RLock()
		if x.names != nil || len(x.nodes) == 0 {
			return x.names, x.order
		}
		x.mu.RUnlock()
		x.sort()
	}
}

func (x *Index) sort() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.names = slices.Sorted(maps.Keys(x.nodes))
	x.order = make([]*entry, len(x.names))
	for i, name := range x.names {
		x.order[i] = x.nodes[name]
	}
}
