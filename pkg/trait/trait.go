// Package trait holds what a machine says of itself: named documents such as "os" or "interfaces".
//
// It refuses to collect anything (package traits does) and to interpret conditions (package expr does).
package trait

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sort"
)

// ErrNone says that a trait does not apply to this machine; it is not a failure.
var ErrNone = errors.New("trait does not apply here")

// Class says how fast a trait changes and so how often it is collected.
type Class string

// The cost classes.
const (
	Volatile Class = "volatile" // every check-in, and never part of "changed since the last report"
	Stable   Class = "stable"   // every few minutes
	Hourly   Class = "hourly"   // expensive; once an hour
)

// A Kind describes a trait: what its documents look like and how often they are made.
type Kind struct {
	Name  string
	Class Class
	Type  reflect.Type // struct, or mapping, whose doc comments are the manual
}

// A Set is the traits of one machine: trait name to its JSON document, decoded (map[string]any, []any, string,
// float64, bool, nil). A trait that is absent does not apply or could not be collected.
type Set map[string]any

// A Facet is the canonical bytes of one trait document, addressed by their digest, so that only changed traits
// travel.
type Facet struct {
	Name   string          `json:"name"`
	Digest string          `json:"digest"` // sha256:<hex> of Doc
	Doc    json.RawMessage `json:"doc"`
}

// FacetOf returns the facet of a trait document; v is any value that encoding/json can encode. Maps are encoded
// in sorted order, so equal documents have equal digests.
func FacetOf(name string, v any) (Facet, error) {
	doc, err := json.Marshal(v)
	if err != nil {
		return Facet{}, fmt.Errorf("encoding trait %s: %w", name, err)
	}
	sum := sha256.Sum256(doc)
	return Facet{Name: name, Digest: "sha256:" + hex.EncodeToString(sum[:]), Doc: doc}, nil
}

// Valid reports whether the digest of the facet is that of its document.
func (f Facet) Valid() bool {
	sum := sha256.Sum256(f.Doc)
	return f.Digest == "sha256:"+hex.EncodeToString(sum[:])
}

// Root returns one digest for a list of facets, whatever their order: the trait root of a check-in.
func Root(digests map[string]string) string {
	names := make([]string, 0, len(digests))
	for name := range digests {
		names = append(names, name)
	}
	sort.Strings(names)
	h := sha256.New()
	for _, name := range names {
		fmt.Fprintf(h, "%s %s\n", name, digests[name])
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
