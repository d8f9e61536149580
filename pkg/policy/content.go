package policy

import "vigo.dev/pkg/bundle"

// ContentOf gives the files of layers without parsing their compact form, for who has the policy already.
func ContentOf(layers []Layer) *Content {
	c := &Content{modules: make(map[string]map[string]bundle.File, len(layers))}
	for _, l := range layers {
		files := make(map[string]bundle.File, len(l.Files))
		for _, f := range l.Files {
			files[f.Path] = f
		}
		c.modules[l.Module] = files
	}
	return c
}
