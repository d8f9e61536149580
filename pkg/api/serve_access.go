package api

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
)

// self is who asks, with the token or the certificate that was shown. Every role may ask about itself.
func (s *server) self(r *http.Request) (Operator, *AccessToken, error) {
	who, err := s.operator(r)
	if err != nil {
		return who, nil, err
	}
	audit.Know(r.Context(), who.Name, string(who.Role))
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		cert, err := s.shown(r)
		if err != nil {
			return who, nil, err
		}
		shown, err := s.Certificates.CertificateHolder(cert)
		return who, &shown, err
	}
	token, err := s.Access.AccessToken(text)
	return who, &token, err
}

func (s *server) whoami(_ http.ResponseWriter, r *http.Request) (any, error) {
	who, token, err := s.self(r)
	return Whoami{Fleet: s.Fleet, Name: who.Name, Role: who.Role, Token: token}, err
}

// accessTokens lists those of who asks, for an admin all.
func (s *server) accessTokens(_ http.ResponseWriter, r *http.Request) (any, error) {
	who, _, err := s.self(r)
	if err != nil {
		return nil, err
	}
	list, err := s.Access.AccessTokens(r.Context())
	if err != nil || who.Role == identity.RoleAdmin {
		return list, err
	}
	return slices.DeleteFunc(list, func(t AccessToken) bool { return t.Operator != who.Name }), nil
}

func (s *server) createAccess(w http.ResponseWriter, r *http.Request) (any, error) {
	who, mine, err := s.self(r)
	if err != nil {
		return nil, err
	}
	var req AccessRequest
	if err := read(w, r, MaxSmall, &req); err != nil {
		return nil, err
	}
	now := s.Now().UTC()
	t := AccessToken{Operator: cmp.Or(req.Operator, who.Name), Role: req.Role, Kind: "token", Note: req.Note, Created: now, Expires: now.Add(req.Life)}
	if err := s.mayCreate(r, who, mine, &t, req.Life); err != nil {
		return nil, err
	}
	return s.Access.CreateAccess(r.Context(), t)
}

// mayCreate refuses a token that would let its holder do more, or longer, than who asks for it.
func (s *server) mayCreate(r *http.Request, who Operator, mine *AccessToken, t *AccessToken, life time.Duration) error {
	switch {
	case who.Role == identity.RolePublisher:
		return Refuse(ErrForbidden, "%s is a publisher; that makes no tokens", who.Name)
	case t.Operator != who.Name && who.Role != identity.RoleAdmin:
		return Refuse(ErrForbidden, "%s is a %s; a token of somebody else needs admin", who.Name, who.Role)
	case life <= 0 || life > MaxAccessLife:
		return Refuse(ErrBadRequest, "life: %s is not between 0 and %s", life, MaxAccessLife)
	case len(t.Note) > maxNote:
		return Refuse(ErrTooLarge, "note: %d bytes, at most %d", len(t.Note), maxNote)
	}
	of := who.Role
	if t.Operator == who.Name {
		switch {
		case mine.Kind == "login":
			return Refuse(ErrForbidden, "%s is not an operator of this service, but vouched for elsewhere; an admin makes operators for programs", who.Name)
		case !mine.Expires.IsZero() && t.Expires.After(mine.Expires):
			return Refuse(ErrForbidden, "what was shown expires on %s: nothing is made with it that lives longer", mine.Expires.Format(time.RFC3339))
		}
	} else {
		list, err := s.Access.AccessTokens(r.Context())
		if err != nil {
			return err
		}
		at := slices.IndexFunc(list, func(l AccessToken) bool { return l.Operator == t.Operator && l.Kind == "operator" })
		if at < 0 {
			return Refuse(ErrNotFound, "there is no operator %.140q", t.Operator)
		}
		of = list[at].Role
	}
	t.Role = cmp.Or(t.Role, of)
	if !within(t.Role, of) {
		return Refuse(ErrForbidden, "%s is a %s; what it gets cannot be %.40q", t.Operator, of, t.Role)
	}
	return nil
}

func (s *server) revokeAccess(_ http.ResponseWriter, r *http.Request) (any, error) {
	who, _, err := s.self(r)
	if err != nil {
		return nil, err
	}
	id := r.PathValue("id")
	list, err := s.Access.AccessTokens(r.Context())
	if err != nil {
		return nil, err
	}
	mine := slices.ContainsFunc(list, func(t AccessToken) bool { return t.ID == id && t.Operator == who.Name })
	if who.Role != identity.RoleAdmin && !mine { // that there is one of somebody else is not told
		return nil, Refuse(ErrNotFound, "%s has no token %.40q", who.Name, id)
	}
	return nil, s.Access.RevokeAccess(r.Context(), id)
}

// loginOffer is for everybody: who is to log in has no token yet.
func (s *server) loginOffer(_ http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.Gate.Admit("enroll", address(r)); err != nil {
		return nil, err
	}
	return s.Logins.LoginOffer()
}

func (s *server) login(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.Gate.Admit("enroll", address(r)); err != nil {
		return nil, err
	}
	var req LoginRequest
	if err := read(w, r, MaxSmall, &req); err != nil {
		return nil, err
	}
	return s.Logins.Login(r.Context(), req.IDToken)
}
