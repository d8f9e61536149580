package reporting

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// CreateToken implements api.Admin.
func (s *Service) CreateToken(ctx context.Context, r api.TokenRequest) (api.TokenAnswer, error) {
	if err := checkToken(r); err != nil {
		return api.TokenAnswer{}, err
	}
	secret, err := identity.NewSecret(s.CA.Fingerprint(), false)
	if err != nil {
		return api.TokenAnswer{}, err
	}
	now := s.Now().UTC()
	g := identity.Grant{ID: secret.ID, Names: r.Names, Labels: r.Labels, Channel: r.Channel, Hub: r.Hub, Uses: r.Uses, Created: now, Note: r.Note, RetireAfter: r.RetireAfter}
	if g.Channel == "" {
		g.Channel = s.Channel
	}
	if r.Life > 0 {
		g.Expires = now.Add(r.Life)
	}
	if err := s.DB.CreateToken(ctx, secret, g); err != nil {
		return api.TokenAnswer{}, kept(err)
	}
	return api.TokenAnswer{Token: secret.Text(), Grant: g}, nil
}

// checkToken refuses a token that would be good for more than was meant, or for nothing.
func checkToken(r api.TokenRequest) error {
	switch _, err := path.Match(r.Names, "a"); {
	case err != nil:
		return api.Refuse(api.ErrBadRequest, "names: %.140q is not a pattern", r.Names)
	case r.Uses < 0:
		return api.Refuse(api.ErrBadRequest, "uses: %d is less than 0, which is no limit", r.Uses)
	case r.Life < 0:
		return api.Refuse(api.ErrBadRequest, "life: %s has passed already", r.Life)
	case r.Channel != "" && identity.CheckName(r.Channel) != nil:
		return api.Refuse(api.ErrBadRequest, "channel: %.140q is not a name", r.Channel)
	case len(r.Note) > 1000 || len(r.Labels) > 100:
		return api.Refuse(api.ErrTooLarge, "at most 100 labels and 1000 bytes of note")
	case r.Hub && r.RetireAfter != 0:
		return api.Refuse(api.ErrBadRequest, "retire after %s: hubs are retired by people", r.RetireAfter)
	}
	if err := checkRetireAfter(r.RetireAfter); err != nil {
		return err
	}
	for key, value := range r.Labels {
		if identity.CheckName(key) != nil || len(value) > 256 || strings.ContainsFunc(value, func(c rune) bool { return c < ' ' }) {
			return api.Refuse(api.ErrBadRequest, "label %.140q: names are letters, digits, dots, dashes and underscores; values are one line of at most 256 bytes", key)
		}
	}
	return nil
}

// ListTokens implements api.Admin.
func (s *Service) ListTokens(ctx context.Context) ([]identity.Grant, error) { return s.DB.Tokens(ctx) }

// RevokeToken implements api.Admin.
func (s *Service) RevokeToken(ctx context.Context, id string) error {
	return kept(s.DB.RevokeToken(ctx, id, s.Now()))
}

// PutChannels implements api.Admin.
func (s *Service) PutChannels(ctx context.Context, notes []report.ChannelNote) error {
	s.noting.Lock()
	defer s.noting.Unlock()
	now := s.Now().UTC()
	s.mu.Lock()
	before := s.channels
	s.mu.Unlock()
	next := make(map[string]report.ChannelNote, len(notes))
	var events []report.Event
	var acts []audit.Entry
	for _, n := range notes {
		old := before[n.Channel]
		n.Heard, n.Since = now, old.Since
		keepPublished(&n, old)
		noteRivals(&n, old)
		if n.Interval < time.Second || n.Interval > 24*time.Hour {
			n.Interval = old.Interval
		}
		if n.Pointer != old.Pointer {
			n.Since = now
			acts = append(acts, audit.By(ctx, audit.ChannelPublished, n.Channel, map[string]string{"pointer": n.Pointer, "digest": n.Digest, "commit": n.Commit}))
			events = append(events, report.Event{At: now, Kind: "channel.published", Text: fmt.Sprintf("%s: pointer %s names %s", n.Channel, n.Pointer, n.Digest)})
		}
		if gone, tip, ok := strings.Cut(n.Rewritten, " "); ok && n.Rewritten != old.Rewritten {
			acts = append(acts, audit.By(ctx, audit.ChannelRewritten, n.Channel, map[string]string{"old": gone, "new": tip}))
			events = append(events, report.Event{At: now, Kind: "channel.rewritten", Text: fmt.Sprintf("%s: %s replaces %s, which is not in its history; the operator of the controller allowed it", n.Channel, tip, gone)})
		}
		for _, e := range flipped(n, old.Modes) {
			e.At = now
			events = append(events, e)
		}
		if e := waited(n, old.Waiting); e.Kind != "" {
			e.At = now
			events = append(events, e)
		}
		if n.Error != "" && n.Error != old.Error {
			events = append(events, report.Event{At: now, Kind: "channel.error", Text: n.Channel + ": " + n.Error})
		}
		next[n.Channel] = n
	}
	if err := s.DB.PutNoteOf(ctx, channelsKey, next, now, acts, events...); err != nil {
		return kept(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setChannels(next)
	return nil
}

// waited is the event when something begins to wait for people on a channel, or when what waited does not any more; without a kind
// there is none.
func waited(n report.ChannelNote, before *report.Waiting) report.Event {
	switch w := n.Waiting; {
	case w != nil && (before == nil || before.Digest != w.Digest):
		return report.Event{Kind: "promotion.waiting", Text: fmt.Sprintf("%s: %.19s of commit %.12s waits: %.300s", n.Channel, w.Digest, w.Commit, w.Reason)}
	case w != nil || before == nil:
		return report.Event{}
	case n.Digest == before.Digest:
		return report.Event{Kind: "promotion.taken", Text: fmt.Sprintf("%s: %.19s of commit %.12s, which waited for people", n.Channel, before.Digest, before.Commit)}
	}
	return report.Event{Kind: "promotion.dropped", Text: fmt.Sprintf("%s: %.19s of commit %.12s waits no more, and was not taken", n.Channel, before.Digest, before.Commit)}
}
