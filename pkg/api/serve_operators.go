package api

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// guarded returns the handler of a route, for those alone who may ask.
func (s *server) guarded(known route) handler {
	roles := known.roles()
	if len(roles) == 0 {
		return known.serve
	}
	return func(w http.ResponseWriter, r *http.Request) (any, error) {
		if err := s.allow(r, roles...); err != nil {
			return nil, err
		}
		return known.serve(w, r)
	}
}

// allow finds who asks, by operator token or operator certificate, and whether one of the roles is theirs. An admin may
// do everything.
func (s *server) allow(r *http.Request, roles ...identity.Role) error {
	who, err := s.operator(r)
	if err != nil {
		return err
	}
	audit.Know(r.Context(), who.Name, string(who.Role))
	if who.Role != identity.RoleAdmin && !slices.Contains(roles, who.Role) {
		return Refuse(ErrForbidden, "%s is a %s; this needs %s", who.Name, who.Role, roles[0])
	}
	return nil
}

func (s *server) operator(r *http.Request) (Operator, error) {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		who, err := s.Gate.Operator(token)
		if err != nil {
			if busy := s.Gate.Admit("operator", address(r)); busy != nil { // of those that are wrong: who guesses is not the rule
				return Operator{}, busy
			}
			return Operator{}, err
		}
		return who, s.Gate.Admit("person", who.Name)
	}
	t, err := s.certified(r)
	return Operator{Name: t.Operator, Role: t.Role}, err
}

func (s *server) status(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.Operators.Status(r.Context(), number(r, "problems", 10, 1000))
}

func (s *server) nodes(_ http.ResponseWriter, r *http.Request) (any, error) {
	q, err := query(r)
	if err != nil {
		return nil, err
	}
	return s.Operators.Nodes(r.Context(), q)
}

func (s *server) node(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.Operators.Node(r.Context(), r.PathValue("name"))
}

func (s *server) traits(_ http.ResponseWriter, r *http.Request) (any, error) {
	q, err := query(r)
	if err != nil {
		return nil, err
	}
	return s.Operators.Traits(r.Context(), q, r.URL.Query().Get("where"))
}

func (s *server) events(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.Operators.Events(r.Context(), number(r, "limit", 100, 10000))
}

func (s *server) retire(_ http.ResponseWriter, r *http.Request) (any, error) {
	return nil, s.Admin.Retire(r.Context(), r.PathValue("name"))
}

func (s *server) tokens(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.Admin.ListTokens(r.Context())
}

func (s *server) createToken(w http.ResponseWriter, r *http.Request) (any, error) {
	var req TokenRequest
	if err := read(w, r, MaxSmall, &req); err != nil {
		return nil, err
	}
	return s.Admin.CreateToken(r.Context(), req)
}

func (s *server) revokeToken(_ http.ResponseWriter, r *http.Request) (any, error) {
	return nil, s.Admin.RevokeToken(r.Context(), r.PathValue("id"))
}

func (s *server) putChannels(w http.ResponseWriter, r *http.Request) (any, error) {
	var req ChannelsRequest
	if err := read(w, r, MaxNotes, &req); err != nil {
		return nil, err
	}
	if len(req.Channels) > MaxChannels {
		return nil, Refuse(ErrTooLarge, "%d channels, at most %d", len(req.Channels), MaxChannels)
	}
	seen := map[string]bool{}
	for _, note := range req.Channels {
		if identity.CheckName(note.Channel) != nil || seen[note.Channel] {
			return nil, Refuse(ErrBadRequest, "%.140q is not the name of a channel, or is named twice", note.Channel)
		}
		seen[note.Channel] = true
	}
	return nil, s.Admin.PutChannels(r.Context(), req.Channels)
}

func (s *server) recipients(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.Roster.Recipients(r.Context())
}

func (s *server) putGrants(w http.ResponseWriter, r *http.Request) (any, error) {
	var req GrantsRequest
	if err := read(w, r, MaxNotes, &req); err != nil {
		return nil, err
	}
	return nil, s.Roster.PutGrants(r.Context(), req.Grants)
}

func read(w http.ResponseWriter, r *http.Request, limit int64, into any) error {
	data, err := body(w, r, limit)
	if err != nil {
		return err
	}
	return decode(data, into)
}

func query(r *http.Request) (report.Query, error) { return QueryOf(r.URL.Query()) }

// QueryOf reads the filters of a list of nodes from an address, so that an address can be shared; [ErrBadRequest].
func QueryOf(v url.Values) (report.Query, error) {
	q := report.Query{
		Presence: report.Presence(v.Get("presence")), Compliance: report.Compliance(v.Get("compliance")),
		Digest: report.Digest(v.Get("digest")), Channel: v.Get("channel"), Name: v.Get("name"),
	}
	for _, label := range v["label"] {
		key, value, ok := strings.Cut(label, "=")
		if !ok {
			return q, Refuse(ErrBadRequest, "label %.140q is not key=value", label)
		}
		if q.Labels == nil {
			q.Labels = map[string]string{}
		}
		q.Labels[key] = value
	}
	return q, nil
}

// number reads a parameter between 0 and most; what is not a number is the usual one.
func number(r *http.Request, name string, usual, most int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < 0 {
		return usual
	}
	return min(n, most)
}
