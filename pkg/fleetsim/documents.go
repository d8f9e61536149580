package fleetsim

import (
	"fmt"
	"sync"

	"vigo.dev/pkg/trait"
)

// The sorts of a simulated fleet: how many different documents of a trait there are.
const (
	images    = 50 // sets of packages, services and users: what a machine is for
	models    = 10 // of hardware
	systems   = 5  // versions of the operating system
	installed = 400
)

// documents are the traits of simulated nodes. Those that many nodes share are made once.
type documents struct{ shared sync.Map }

type (
	packageDoc struct {
		Version string `json:"version"`
		Arch    string `json:"arch"`
	}
	userDoc struct {
		UID    int      `json:"uid"`
		GID    int      `json:"gid"`
		Home   string   `json:"home"`
		Shell  string   `json:"shell"`
		Groups []string `json:"groups"`
		System bool     `json:"system"`
		Login  bool     `json:"login"`
	}
	serviceDoc struct {
		Running bool `json:"running"`
		Enabled bool `json:"enabled"`
		Failed  bool `json:"failed"`
	}
	interfaceDoc struct {
		MAC       string   `json:"mac"`
		MTU       int      `json:"mtu"`
		Up        bool     `json:"up"`
		Loopback  bool     `json:"loopback"`
		Addresses []string `json:"addresses"`
	}
)

// all are the traits of a node: 3 that no other has, and 7 that it shares.
func (d *documents) all(n *node) ([]trait.Facet, error) {
	i := n.index
	system, model, image := i%systems, i%models, i%images
	makers := []struct {
		name, sort string // "": of this node alone
		make       func() any
	}{
		{"hostname", "", func() any { return map[string]string{"short": n.name, "full": n.name + ".simulated.example"} }},
		{"interfaces", "", func() any {
			return map[string]interfaceDoc{"eth0": {fmt.Sprintf("02:00:%02x:%02x:%02x:%02x", i>>24&255, i>>16&255, i>>8&255, i&255), 1500, true, false,
				[]string{fmt.Sprintf("10.%d.%d.%d/8", i>>16&255, i>>8&255, i&255)}}}
		}},
		{"boot", "", func() any { return map[string]any{"id": fmt.Sprintf("00000000-0000-4000-8000-%012x", i)} }},
		{"os", fmt.Sprint(system), func() any {
			return map[string]string{"family": "debian", "id": "debian", "version": fmt.Sprint(9 + system), "name": "Debian GNU/Linux"}
		}},
		{"kernel", fmt.Sprint(system), func() any {
			return map[string]string{"name": "Linux", "release": fmt.Sprintf("6.%d.0-amd64", system)}
		}},
		{"cpu", fmt.Sprint(model), func() any { return map[string]any{"cores": 2 << (model % 6), "model": fmt.Sprint("Model ", model)} }},
		{"memory", fmt.Sprint(model), func() any { return map[string]any{"total_mb": 4096 << (model % 6), "swap_total_mb": 0} }},
		{"services", fmt.Sprint(image), func() any { return services(image) }},
		{"users", fmt.Sprint(image), func() any { return users(image) }},
		{"packages", n.packageSort(image), func() any { return packages(image, n) }},
	}
	facets := make([]trait.Facet, 0, len(makers))
	for _, m := range makers {
		facet, err := d.facet(m.name, m.sort, m.make)
		if err != nil {
			return nil, err
		}
		facets = append(facets, facet)
	}
	return facets, nil
}

// packageSort names a set of packages that several nodes have; "" for one that no other has.
func (n *node) packageSort(image int) string {
	if n.odd {
		return ""
	}
	return fmt.Sprint(image, " ", n.packages)
}

func (d *documents) facet(name, sort string, make func() any) (trait.Facet, error) {
	key := name + " " + sort
	if sort != "" {
		if known, ok := d.shared.Load(key); ok {
			return known.(trait.Facet), nil
		}
	}
	facet, err := trait.FacetOf(name, make())
	if err == nil && sort != "" {
		d.shared.Store(key, facet)
	}
	return facet, err
}

func (d *documents) digests(n *node) (map[string]string, error) {
	facets, err := d.all(n)
	if err != nil {
		return nil, err
	}
	digests := make(map[string]string, len(facets))
	for _, f := range facets {
		digests[f.Name] = f.Digest
	}
	return digests, nil
}

// packages are 400 of them; each change of a node raises the version of one.
func packages(image int, n *node) map[string]packageDoc {
	all := make(map[string]packageDoc, installed)
	for i := range installed {
		patch := n.packages / installed
		if i < n.packages%installed {
			patch++
		}
		all[fmt.Sprintf("lib-simulated%d-%d", image%7, i)] = packageDoc{fmt.Sprintf("%d.%d.%d-%d", 1+i%4, i%13, image, patch), "amd64"}
	}
	if n.odd {
		all["simulated-only-here"] = packageDoc{fmt.Sprintf("1.%d.%d", n.index, n.packages), "amd64"}
	}
	return all
}

func services(image int) map[string]serviceDoc {
	all := map[string]serviceDoc{}
	for i := range 60 {
		all[fmt.Sprintf("simulated-%d-%d.service", image%11, i)] = serviceDoc{Running: i%3 != 0, Enabled: true}
	}
	return all
}

func users(image int) map[string]userDoc {
	all := map[string]userDoc{}
	for i := range 30 {
		name := fmt.Sprintf("user%d-%d", image%9, i)
		all[name] = userDoc{UID: 1000 + i, GID: 1000 + i, Home: "/home/" + name, Shell: "/bin/bash", Groups: []string{name}, Login: true}
	}
	return all
}
