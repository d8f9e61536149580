package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"vigo.dev/pkg/bundle"
)

// A Part is a layer that was read: the compact form as Go values in place of its text, and the other files.
type Part struct {
	module      string
	fleet       *Policy // of the fleet layer
	read        *Module // of another
	files       map[string]bundle.File
	conditional []byte // the compact form, if it has conditions or templates
	err         error
}

// ReadPart reads a layer. Only the compact form is parsed. What is wrong with it is told by [Assemble].
func ReadPart(l Layer) Part {
	p := Part{module: l.Module, files: make(map[string]bundle.File, len(l.Files))}
	var compact []byte
	for _, f := range l.Files {
		if f.Path == compiledName {
			compact = f.Data
			continue
		}
		p.files[f.Path] = f
	}
	switch {
	case compact == nil:
		p.err = fmt.Errorf("it has no %s", compiledName)
	case l.Module == "":
		p.fleet = &Policy{}
		p.err = json.Unmarshal(compact, p.fleet)
	default:
		p.read, p.err = readModule(compact)
	}
	if bytes.Contains(compact, []byte("{{")) || bytes.Contains(compact, []byte(`"when"`)) {
		p.conditional = compact
	}
	return p
}

// Assemble makes a policy of its parts. Modules whose layers are not there are missing from it.
func Assemble(parts []Part) (*Policy, *Content, error) {
	p := &Policy{}
	modules := map[string]*Module{}
	c := &Content{modules: make(map[string]map[string]bundle.File, len(parts)), conditional: map[string][]byte{}}
	for _, part := range parts {
		if part.err != nil {
			return nil, nil, fmt.Errorf("reading module %q: %w", part.module, part.err)
		}
		if part.fleet != nil {
			all := *part.fleet
			p = &all
		} else {
			modules[part.module] = part.read
		}
		c.modules[part.module] = part.files
		if part.conditional != nil {
			c.conditional[part.module] = part.conditional
		}
	}
	p.Modules = modules
	if err := known(p); err != nil {
		return nil, nil, err
	}
	if p.Fleet == nil {
		return nil, nil, errors.New("reading a policy: it has no fleet layer")
	}
	return p, c, nil
}

// FromLayers is the inverse of [Layers]. Modules whose layers are not there are missing from the policy.
func FromLayers(layers []Layer) (*Policy, *Content, error) {
	parts := make([]Part, len(layers))
	var reading sync.WaitGroup
	turns := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, l := range layers {
		turns <- struct{}{}
		reading.Go(func() {
			parts[i] = ReadPart(l)
			<-turns
		})
	}
	reading.Wait()
	return Assemble(parts)
}
