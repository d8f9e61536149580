package reporting

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"vigo.dev/pkg/report"
)

// agentTrait is the document in which a node says which modes it is in.
const agentTrait = "agent"

// agentDoc is what is read of it.
type agentDoc struct {
	Modes   []string `json:"modes"`
	Unready []string `json:"unready"`
}

// Modes implements api.Modes.
func (s *Service) Modes(ctx context.Context, channel string) ([]report.ModeStatus, error) {
	docs, err := s.agentDocs(ctx)
	if err != nil {
		return nil, err
	}
	list, of := []report.ModeStatus{}, map[string][]int{} // positions in the list, by channel
	s.mu.Lock()
	notes := s.channels
	s.mu.Unlock()
	for name, note := range notes {
		for _, m := range note.Modes {
			if channel == "" || channel == name {
				list = append(list, report.ModeStatus{Channel: name, Mode: m})
			}
		}
	}
	slices.SortFunc(list, func(a, b report.ModeStatus) int {
		return cmp.Or(strings.Compare(a.Channel, b.Channel), strings.Compare(a.Name, b.Name))
	})
	for i, m := range list {
		of[m.Channel] = append(of[m.Channel], i)
	}
	now := s.Now()
	s.eachNode(func(n *node) {
		if n.Hub || !n.Retired.IsZero() {
			return
		}
		doc, told := docs[n.facets[agentTrait]]
		for _, i := range of[n.Channel] {
			switch m := &list[i]; {
			case n.unread:
				m.Nodes, m.Unread = m.Nodes+1, m.Unread+1
			default:
				countMode(m, n.Name, doc, told, silent(s.presence(n, now)))
			}
		}
	})
	for i := range list {
		m := &list[i]
		for _, names := range []*[]string{&m.Lagging, &m.Gone, &m.Unready} {
			slices.Sort(*names)
			*names = (*names)[:min(len(*names), report.MaxModeNodes)]
		}
	}
	return list, nil
}

// countMode counts one node.
func countMode(m *report.ModeStatus, node string, doc agentDoc, told, silent bool) {
	m.Nodes++
	switch {
	case told && slices.Contains(doc.Modes, m.Name) == m.On:
		m.There++
	case silent:
		m.Silent++
		m.Gone = append(m.Gone, node)
	default:
		m.Lagging = append(m.Lagging, node)
	}
	if slices.Contains(doc.Unready, m.Name) {
		m.Unready = append(m.Unready, node)
	}
}

// agentDocs are the documents in which nodes say which modes they are in, by digest. Nodes that say the same share one.
func (s *Service) agentDocs(ctx context.Context) (map[string]agentDoc, error) {
	digests := map[string]bool{}
	s.eachNode(func(n *node) {
		if digest := n.facets[agentTrait]; digest != "" && n.Retired.IsZero() {
			digests[digest] = true
		}
	})
	docs := make(map[string]agentDoc, len(digests))
	var all []string
	for digest := range digests {
		all = append(all, digest)
	}
	for some := range slices.Chunk(all, readAtOnce) {
		read, err := s.DB.Facets(ctx, some)
		if err != nil {
			return nil, fmt.Errorf("reading which modes nodes are in: %w", kept(err))
		}
		for digest, data := range read {
			var doc agentDoc
			if json.Unmarshal(data, &doc) == nil { // another one is of a node that says something else under that name
				docs[digest] = doc
			}
		}
	}
	return docs, nil
}

// flipped are the events of the modes that are other than before: flipped, or ordered to be as they are. A mode that is new and
// off is none.
func flipped(n report.ChannelNote, before []report.Mode) (events []report.Event) {
	for _, m := range n.Modes {
		var was report.Mode
		if at := slices.IndexFunc(before, func(b report.Mode) bool { return b.Name == m.Name }); at >= 0 {
			was = before[at]
		}
		if m.On == was.On && m.Ordered.Equal(was.Ordered) {
			continue
		}
		state, why := "off", "as policy says"
		if m.On {
			state = "ON"
		}
		if !m.Ordered.IsZero() {
			why = fmt.Sprintf("ordered by %d people: %.300s", len(m.Keys), cmp.Or(m.Note, "they do not say why"))
		}
		events = append(events, report.Event{Kind: "mode.flipped", Text: fmt.Sprintf("%s: mode %s is %s, %s", n.Channel, m.Name, state, why)})
	}
	return events
}
