package reporting

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/glob"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// grantsKey is the note under which the store keeps what policies grant.
const grantsKey = "grants"

// labelling is which labels the policies of the channels give to nodes, beside those of enrolment. The lock of the service guards it.
type labelling struct {
	told []report.Grants // never changed, only replaced
	by   map[string]granted
	// shared are the labels that nodes with the same ones have in common, by what they say.
	shared map[string]map[string]string
}

// granted is what one policy grants, and to whom.
type granted struct {
	grants []report.LabelGrant
	to     glob.List
}

// use takes over what policies grant.
func (l *labelling) use(told []report.Grants) {
	*l = labelling{told: told, by: map[string]granted{}, shared: map[string]map[string]string{}}
	for _, t := range told {
		patterns := make([]string, len(t.Grants))
		for i, g := range t.Grants {
			patterns[i] = g.Match
		}
		all := granted{t.Grants, glob.NewList(patterns)}
		for _, channel := range t.Channels {
			l.by[channel] = all
		}
	}
}

// of are the labels of a node: those of its enrolment, and those of the policy, which has the last word.
func (l *labelling) of(name, channel string, enrolled map[string]string) map[string]string {
	policy := l.by[channel]
	matching := policy.to.Matching(name)
	if len(matching) == 0 {
		return enrolled
	}
	all := maps.Clone(enrolled)
	if all == nil {
		all = map[string]string{}
	}
	for _, at := range matching {
		maps.Copy(all, policy.grants[at].Labels)
	}
	key := ""
	for _, label := range slices.Sorted(maps.Keys(all)) {
		key += fmt.Sprintf("%q%q", label, all[label])
	}
	if same, ok := l.shared[key]; ok {
		return same
	}
	l.shared[key] = all
	return all
}

// PutGrants implements api.Roster.
func (s *Service) PutGrants(ctx context.Context, told []report.Grants) error {
	if err := bounded(told); err != nil {
		return err
	}
	s.noting.Lock()
	defer s.noting.Unlock()
	s.mu.Lock()
	before := s.labelling.told
	s.mu.Unlock()
	if string(encoded(before)) == string(encoded(told)) {
		return nil
	}
	if err := s.DB.PutNote(ctx, grantsKey, told); err != nil {
		return kept(err)
	}
	s.relabel(told)
	return nil
}

// bounded refuses what no policy can say.
func bounded(told []report.Grants) error {
	count := 0
	for _, g := range told {
		count += len(g.Grants) + len(g.Channels)
		for _, grant := range g.Grants {
			if _, err := path.Match(grant.Match, "a"); err != nil {
				return api.Refuse(api.ErrBadRequest, "%.140q is not a pattern", grant.Match)
			}
		}
	}
	if count > report.MaxGrants {
		return api.Refuse(api.ErrTooLarge, "%d grants of labels, at most %d", count, report.MaxGrants)
	}
	return nil
}

// relabel has all nodes have the labels that policies grant now. The caller does not hold the lock.
func (s *Service) relabel(told []report.Grants) {
	s.mu.Lock()
	s.labelling.use(told)
	s.mu.Unlock()
	s.eachNode(func(n *node) {
		if !maps.Equal(n.labels, s.labelling.of(n.Name, s.channelOf(n), n.Labels)) {
			s.indexed(n)
		}
	})
}

// readGrants returns what the store keeps of grants.
func (s *Service) readGrants(ctx context.Context) ([]report.Grants, error) {
	var told []report.Grants
	err := s.DB.Note(ctx, grantsKey, &told)
	if errors.Is(err, sqlstore.ErrNotFound) {
		err = nil
	}
	return told, err
}
