package reporting

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"vigo.dev/pkg/report"
)

// controlDocs are the documents that say which resources serve which control, as far as they were asked for. Nodes with the same
// policy share one.
type controlDocs struct {
	mu   sync.Mutex
	docs map[string]*controlDoc // by digest
}

// controlDoc is such a document, both ways.
type controlDoc struct {
	resources report.ControlDoc
	controls  map[string][]string // of a resource
}

// maxControlDocs bounds the documents that are kept ready.
const maxControlDocs = 5000

func newControlDoc(data []byte) *controlDoc {
	d := &controlDoc{controls: map[string][]string{}}
	if err := json.Unmarshal(data, &d.resources); err != nil {
		d.resources = nil // it is of a node that says something else under that name
	}
	for control, resources := range d.resources {
		for _, id := range resources {
			d.controls[id] = append(d.controls[id], control)
		}
	}
	return d
}

// of returns documents by their digests; those that are not in the store are left out.
func (c *controlDocs) of(ctx context.Context, s *Service, digests []string) (map[string]*controlDoc, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, missing := make(map[string]*controlDoc, len(digests)), []string(nil)
	for _, digest := range digests {
		if d, ok := c.docs[digest]; ok {
			found[digest] = d
		} else {
			missing = append(missing, digest)
		}
	}
	fresh := map[string]*controlDoc{}
	for some := range slices.Chunk(missing, readAtOnce) {
		read, err := s.DB.Facets(ctx, some)
		if err != nil {
			return nil, err
		}
		for digest, data := range read {
			fresh[digest] = newControlDoc(data)
		}
	}
	maps.Copy(found, fresh)
	if len(c.docs)+len(fresh) > maxControlDocs || c.docs == nil {
		c.docs = map[string]*controlDoc{}
	}
	for digest, d := range fresh {
		if len(c.docs) < maxControlDocs {
			c.docs[digest] = d
		}
	}
	return found, nil
}

// Controls implements api.Compliance.
func (s *Service) Controls(ctx context.Context, control string) (report.Controls, error) {
	docs, err := s.controlDocs.of(ctx, s, s.controlDigests())
	if err != nil {
		return report.Controls{}, err
	}
	answer := report.Controls{Controls: []report.Control{}}
	all := map[string]*report.Control{}
	counted := map[string]*shared{}
	now := s.Now()
	var nodes [ranks][]report.ControlNode // by state
	s.eachNode(func(n *node) {
		if n.Hub || !n.Retired.IsZero() {
			return
		}
		answer.Of++
		digest := n.facets[report.ControlsTrait]
		doc := docs[digest]
		if doc == nil {
			if digest != "" || n.unread {
				answer.Lacking++
			}
			return
		}
		of := counted[digest]
		if of == nil {
			of = newShared()
			counted[digest] = of
		}
		s.countControls(of, n, doc, now)
		if _, serves := doc.resources[control]; serves && control != "" {
			one := s.controlNode(n, doc, control, now)
			nodes[rankOf(one.State)] = append(nodes[rankOf(one.State)], one)
		}
	})
	for digest, of := range counted {
		of.into(all, docs[digest])
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if (control == "" || control == name) && len(answer.Controls) < report.MaxControls {
			answer.Controls = append(answer.Controls, *all[name])
		}
	}
	for _, some := range nodes {
		slices.SortFunc(some, func(a, b report.ControlNode) int { return strings.Compare(a.Node, b.Node) })
		some = some[:min(len(some), report.MaxControlNodes)]
		answer.Nodes = append(answer.Nodes, some...)
	}
	answer.Nodes = answer.Nodes[:min(len(answer.Nodes), report.MaxControlNodes)]
	return answer, nil
}

// controlDigests are those of the documents that nodes have.
func (s *Service) controlDigests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	digests := map[string]bool{}
	for _, n := range s.nodes {
		if digest := n.facets[report.ControlsTrait]; digest != "" && !n.Hub && n.Retired.IsZero() && s.known[digest] {
			digests[digest] = true
		}
	}
	return slices.Collect(maps.Keys(digests))
}

// shared is what is counted of nodes that have the same document: what is the same for all controls, and what is of a few.
type shared struct {
	nodes, silent, unknown int
	states                 map[string]map[report.ControlState]int // of controls that are not ok everywhere
}

func newShared() *shared { return &shared{states: map[string]map[report.ControlState]int{}} }

// countControls counts one node. The caller holds the lock.
func (s *Service) countControls(of *shared, n *node, doc *controlDoc, now time.Time) {
	of.nodes++
	if silent(s.presence(n, now)) {
		of.silent++
	}
	if n.unsaid() {
		of.unknown++
		return
	}
	if len(n.account.Failed) == 0 {
		return
	}
	worst := map[string]report.ControlState{}
	for id, outcome := range n.account.Failed {
		for _, control := range doc.controls[id] {
			worst[control] = worse(worst[control], report.ControlState(outcome))
		}
	}
	for control, state := range worst {
		if of.states[control] == nil {
			of.states[control] = map[report.ControlState]int{}
		}
		of.states[control][state]++
	}
}

// into adds what was counted to the controls of a document.
func (of *shared) into(all map[string]*report.Control, doc *controlDoc) {
	for name := range doc.resources {
		c := all[name]
		if c == nil {
			c = &report.Control{Name: name}
			all[name] = c
		}
		st := of.states[name]
		c.Nodes, c.Silent, c.Unknown = c.Nodes+of.nodes, c.Silent+of.silent, c.Unknown+of.unknown
		c.Failed, c.Drift, c.Skipped = c.Failed+st[report.ControlFailed], c.Drift+st[report.ControlDrift], c.Skipped+st[report.ControlSkipped]
		c.OK = c.Nodes - c.Failed - c.Drift - c.Skipped - c.Unknown
	}
}

// unsaid is whether no run has said how the resources of a node are: there was none, or it came to nothing, or what it found has not
// arrived yet.
func (n *node) unsaid() bool {
	switch a := n.account; a.State {
	case report.ComplianceNever:
		return true
	case report.ComplianceFailed, report.ComplianceDrift:
		return len(a.Failed) == 0 && (a.Last.Run.Error != "" || a.Last.Run.Counts.Skipped == 0)
	}
	return false
}

// controlNode is how a node stands to a control. The caller holds the lock.
func (s *Service) controlNode(n *node, doc *controlDoc, control string, now time.Time) report.ControlNode {
	c := report.ControlNode{Node: n.Name, State: report.ControlOK, Presence: s.presence(n, now), Seen: n.seen}
	if n.unsaid() {
		c.State, c.Resources = report.ControlUnknown, doc.resources[control]
		return c
	}
	for _, id := range doc.resources[control] {
		c.State = worse(c.State, report.ControlState(n.account.Failed[id]))
	}
	if c.State == report.ControlOK {
		c.Resources = doc.resources[control]
		return c
	}
	for _, id := range doc.resources[control] {
		if report.ControlState(n.account.Failed[id]) == c.State {
			c.Resources = append(c.Resources, id)
		}
	}
	return c
}

// worse is the worse of two states; "" is none.
func worse(a, b report.ControlState) report.ControlState {
	if rankOf(b) < rankOf(a) {
		return b
	}
	return a
}

// ranks is how many ranks there are: of the five states, and of what is none.
const ranks = 6

// rankOf orders states, worst first.
func rankOf(s report.ControlState) int {
	switch s {
	case report.ControlFailed:
		return 0
	case report.ControlDrift:
		return 1
	case report.ControlSkipped:
		return 2
	case report.ControlUnknown:
		return 3
	case report.ControlOK:
		return 4
	}
	return ranks - 1
}
