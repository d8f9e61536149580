package reporting

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/sqlstore"
)

var (
	_ api.Access = (*Service)(nil)
	_ api.Logins = (*Service)(nil)
)

// A LoginVerifier knows an identity provider.
type LoginVerifier interface {
	// Offer is what a client must know to ask the provider.
	Offer() api.LoginOffer
	// Verify checks an ID token of the provider, and returns who that is here and for how long.
	Verify(ctx context.Context, idToken string) (who api.Operator, life time.Duration, err error)
}

// uses is when tokens were used, as far as it is not on disk yet.
type uses struct {
	mu sync.Mutex
	at map[string]time.Time
}

// holder returns the operator whose token this is, while it is valid; [api.ErrUnauthorized].
func (s *Service) holder(token string) (sqlstore.Operator, error) {
	secret, err := identity.ParseSecret(token)
	if err != nil || !secret.Operator {
		return sqlstore.Operator{}, api.ErrUnauthorized
	}
	o, err := s.holderOf(secret)
	if errors.Is(err, errNobody) && s.unknown() {
		o, err = s.holderOf(secret)
	}
	if errors.Is(err, errNobody) {
		return o, api.ErrUnauthorized
	}
	return o, err
}

// errNobody says that no operator has a token or a certificate.
var errNobody = errors.New("nobody has it")

func (s *Service) holderOf(secret identity.Secret) (sqlstore.Operator, error) {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.operators {
		if o.Kind == sqlstore.KindCertificate || o.ID != secret.ID || !o.Matches(secret) {
			continue
		}
		if !o.Expires.IsZero() && !now.Before(o.Expires) {
			refused := api.Refuse(api.ErrUnauthorized, "the token of %s has expired on %s", o.Name, o.Expires.UTC().Format(time.RFC3339))
			refused.Advice = "`vigo login`, or `vigo operator token create`, makes a new one"
			return sqlstore.Operator{}, refused
		}
		if o.Kind == sqlstore.KindSession && !s.lives(o.Note, now) {
			return sqlstore.Operator{}, api.ErrUnauthorized
		}
		return o, nil
	}
	return sqlstore.Operator{}, errNobody
}

// Operator implements api.Gate.
func (s *Service) Operator(token string) (api.Operator, error) {
	o, err := s.holder(token)
	if err != nil {
		return api.Operator{}, err
	}
	s.use(o.ID)
	return api.Operator{Name: o.Name, Role: o.Role}, nil
}

// use takes note that a token, or a certificate, was used.
func (s *Service) use(id string) {
	s.uses.mu.Lock()
	defer s.uses.mu.Unlock()
	if s.uses.at == nil {
		s.uses.at = map[string]time.Time{}
	}
	s.uses.at[id] = s.Now().UTC().Truncate(time.Minute)
}

// keepUses writes when tokens were used: once a minute, so that reading does not write.
func (s *Service) keepUses(ctx context.Context) {
	s.uses.mu.Lock()
	fresh := s.uses.at
	s.uses.at = nil
	s.uses.mu.Unlock()
	if len(fresh) == 0 {
		return
	}
	if err := s.DB.PutUses(ctx, fresh); err != nil {
		s.Log.Warn("keeping when tokens were used", "err", err)
		s.uses.mu.Lock()
		defer s.uses.mu.Unlock()
		maps.Copy(fresh, s.uses.at)
		s.uses.at = fresh
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range s.operators {
		if at, ok := fresh[o.ID]; ok {
			s.operators[i].Used = at
		}
	}
}

func (s *Service) accessOf(o sqlstore.Operator) api.AccessToken {
	s.uses.mu.Lock()
	defer s.uses.mu.Unlock()
	used := o.Used
	if at, ok := s.uses.at[o.ID]; ok {
		used = at
	}
	return api.AccessToken{ID: o.ID, Operator: o.Name, Role: o.Role, Kind: o.Kind, Note: o.Note, Created: o.Created, Expires: o.Expires, Used: used}
}

// AccessToken implements api.Access.
func (s *Service) AccessToken(token string) (api.AccessToken, error) {
	o, err := s.holder(token)
	if err != nil {
		return api.AccessToken{}, err
	}
	return s.accessOf(o), nil
}

// AccessTokens implements api.Access.
func (s *Service) AccessTokens(context.Context) ([]api.AccessToken, error) {
	s.mu.Lock()
	all := slices.Clone(s.operators)
	s.mu.Unlock()
	list := make([]api.AccessToken, len(all))
	for i, o := range all {
		list[i] = s.accessOf(o)
	}
	slices.SortFunc(list, func(a, b api.AccessToken) int {
		return cmp.Or(strings.Compare(a.Operator, b.Operator), a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return list, nil
}

// CreateAccess implements api.Access.
func (s *Service) CreateAccess(ctx context.Context, t api.AccessToken) (api.AccessAnswer, error) {
	t.Kind = sqlstore.KindToken
	return s.addAccess(ctx, t)
}

func (s *Service) addAccess(ctx context.Context, t api.AccessToken) (api.AccessAnswer, error) {
	secret, err := identity.NewSecret(s.CA.Fingerprint(), true)
	if err != nil {
		return api.AccessAnswer{}, err
	}
	t.ID = secret.ID
	before := s.operatorToken(t.Operator)
	o := sqlstore.Operator{ID: t.ID, Hash: secret.Hash(), Name: t.Operator, Role: t.Role, Kind: t.Kind, Note: t.Note, Created: t.Created, Expires: t.Expires}
	if err := s.DB.AddToken(ctx, o); err != nil {
		return api.AccessAnswer{}, kept(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Kind == sqlstore.KindToken && s.operatorTokenLocked(t.Operator) != before {
		return api.AccessAnswer{}, api.Refuse(api.ErrNotFound, "operator %s was changed or removed in this moment", t.Operator)
	}
	s.operators = append(s.operators, o)
	return api.AccessAnswer{AccessToken: t, Token: secret.Text()}, nil
}

// operatorToken is the ID of the token an operator was made with: it changes with the operator.
func (s *Service) operatorToken(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.operatorTokenLocked(name)
}

func (s *Service) operatorTokenLocked(name string) string {
	for _, o := range s.operators {
		if o.Name == name && o.Kind == sqlstore.KindOperator {
			return o.ID
		}
	}
	return ""
}

// RevokeAccess implements api.Access.
func (s *Service) RevokeAccess(ctx context.Context, id string) error {
	if err := s.DB.RevokeAccess(ctx, id, s.Now()); err != nil {
		return kept(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.operators = slices.DeleteFunc(s.operators, func(o sqlstore.Operator) bool { return o.ID == id })
	return nil
}

// LoginOffer implements api.Logins.
func (s *Service) LoginOffer() (api.LoginOffer, error) {
	if s.OIDC == nil {
		refused := api.Refuse(api.ErrNotFound, "this service lets nobody in through an identity provider")
		refused.Advice = "`vigo operator create` makes an operator with a token; --oidc of `vigo report` and `vigo up` names a provider"
		return api.LoginOffer{}, refused
	}
	return s.OIDC.Offer(), nil
}

// maxLogins bounds the logins that are valid at once.
const maxLogins = 10_000

// Login implements api.Logins. Names of people that a provider vouches for begin with "oidc:", so that nobody takes them
// for operators of this service.
func (s *Service) Login(ctx context.Context, idToken string) (api.AccessAnswer, error) {
	if _, err := s.LoginOffer(); err != nil {
		return api.AccessAnswer{}, err
	}
	who, life, err := s.OIDC.Verify(ctx, idToken)
	if err != nil {
		return api.AccessAnswer{}, err
	}
	now := s.Now().UTC()
	s.mu.Lock()
	valid := 0
	for _, o := range s.operators {
		if o.Kind == sqlstore.KindLogin && now.Before(o.Expires) {
			valid++
		}
	}
	s.mu.Unlock()
	if valid >= maxLogins {
		return api.AccessAnswer{}, api.Refuse(api.ErrTooMany, "%d people are logged in", valid)
	}
	return s.addAccess(ctx, api.AccessToken{Operator: "oidc:" + who.Name, Role: who.Role, Kind: sqlstore.KindLogin, Created: now, Expires: now.Add(life)})
}

// expiredKeep is how long a token that has expired is still listed.
const expiredKeep = 30 * 24 * time.Hour

func (s *Service) pruneAccess(ctx context.Context) {
	before := s.Now().Add(-expiredKeep)
	if err := s.DB.PruneAccess(ctx, before); err != nil {
		s.Log.Warn("forgetting expired tokens", "err", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.operators = slices.DeleteFunc(s.operators, func(o sqlstore.Operator) bool { return !o.Expires.IsZero() && o.Expires.Before(before) })
}
