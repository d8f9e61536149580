package api

import (
	"context"
	"net/http"
	"time"

	"vigo.dev/pkg/identity"
)

// The limits on tokens of operators.
const (
	MaxAccessLife = 366 * 24 * time.Hour
	maxNote       = 256 // bytes
)

// ErrProvider says that the identity provider cannot be asked.
var ErrProvider = later(refusal(http.StatusServiceUnavailable, "provider", "the identity provider cannot be reached", "the service itself must reach it"), 30*time.Second)

// An AccessToken is what is known of a token that a person or a program holds, without its secret.
type AccessToken struct {
	ID       string        `json:"id"`
	Operator string        `json:"operator"`
	Role     identity.Role `json:"role"`
	Kind     string        `json:"kind"` // operator (what an operator is made with), token (a further one), login, session (of a browser), certificate
	Note     string        `json:"note,omitempty"`
	Created  time.Time     `json:"created,omitzero"`
	Expires  time.Time     `json:"expires,omitzero"` // zero: never
	Used     time.Time     `json:"used,omitzero"`    // to the minute; zero: never
}

// AccessRequest asks for a further token of an operator.
type AccessRequest struct {
	Operator string        `json:"operator,omitempty"` // "": who asks
	Role     identity.Role `json:"role,omitempty"`     // "": that of the operator; never more
	Life     time.Duration `json:"life"`               // at most [MaxAccessLife]
	Note     string        `json:"note,omitempty"`
}

// AccessAnswer holds the clear text of a new token, the only time it is seen.
type AccessAnswer struct {
	AccessToken
	Token string `json:"token"`
}

// Whoami is who asks.
type Whoami struct {
	Fleet string        `json:"fleet"`
	Name  string        `json:"name"`
	Role  identity.Role `json:"role"`
	// Token is the one that was shown, or the client certificate.
	Token *AccessToken `json:"token,omitempty"`
}

// LoginOffer is what a client must know to log in through the identity provider of a service.
type LoginOffer struct {
	Issuer   string   `json:"issuer"`
	ClientID string   `json:"clientID"`
	Scopes   []string `json:"scopes"`
}

// LoginRequest proves who somebody is with an ID token of the identity provider.
type LoginRequest struct {
	IDToken string `json:"idToken"`
}

// Access keeps the tokens of operators.
type Access interface {
	// AccessToken returns what is known of a bearer token that is valid; [ErrUnauthorized].
	AccessToken(token string) (AccessToken, error)
	// AccessTokens lists all, sorted by operator and age.
	AccessTokens(ctx context.Context) ([]AccessToken, error)
	// CreateAccess keeps a further token of an operator; [ErrNotFound] if there is no such operator.
	CreateAccess(ctx context.Context, t AccessToken) (AccessAnswer, error)
	// RevokeAccess makes a further token or a login useless at once; [ErrNotFound].
	RevokeAccess(ctx context.Context, id string) error
}

// Logins let people in through an identity provider.
type Logins interface {
	// LoginOffer says which; [ErrNotFound] when there is none.
	LoginOffer() (LoginOffer, error)
	// Login exchanges an ID token for a token of some hours; [ErrUnauthorized] or [ErrForbidden].
	Login(ctx context.Context, idToken string) (AccessAnswer, error)
}

// rank orders what the roles of people may do; -1 for others, which are not above or below anything.
func rank(r identity.Role) int {
	switch r {
	case identity.RoleViewer:
		return 0
	case identity.RoleOperator:
		return 1
	case identity.RoleAdmin:
		return 2
	}
	return -1
}

// within reports whether a role may do at most what another one may.
func within(r, of identity.Role) bool {
	return r == of || rank(r) >= 0 && rank(r) <= rank(of)
}
