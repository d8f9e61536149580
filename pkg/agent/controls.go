package agent

import (
	"slices"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resource"
	"vigo.dev/pkg/trait"
)

// maxControlDoc bounds what is told of the controls of a catalog, in bytes.
const maxControlDoc = 1 << 20

// serves remembers which resources of a catalog serve which control, for the next check-in. With none there is nothing to tell.
func (a *Agent) serves(cat *resource.Catalog) {
	doc := report.ControlDoc{}
	for _, it := range cat.Items {
		for _, control := range it.Meta.Controls {
			doc[control] = append(doc[control], it.Name())
		}
	}
	var facet trait.Facet
	if len(doc) > 0 {
		for _, resources := range doc {
			slices.Sort(resources)
		}
		var err error
		if facet, err = trait.FacetOf(report.ControlsTrait, doc); err != nil || len(facet.Doc) > maxControlDoc {
			a.Log.Warn("the controls of the policy are not told", "bytes", len(facet.Doc), "most", maxControlDoc, "err", err)
			facet = trait.Facet{}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.controls = facet
}

// tells is what the service is sent of traits, and of controls, modes and turns to reboot beside. The caller holds the lock.
func (a *Agent) tells() (map[string]string, map[string]trait.Facet) {
	digests, facets := make(map[string]string, len(a.digests)+2), make(map[string]trait.Facet, len(a.facets)+2)
	for name, facet := range a.facets {
		digests[name], facets[name] = a.digests[name], facet
	}
	for _, own := range []trait.Facet{a.controls, a.group, a.moded} {
		if own.Name != "" {
			digests[own.Name], facets[own.Name] = own.Digest, own
		}
	}
	return digests, facets
}
