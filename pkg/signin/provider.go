package signin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
)

// fresh is how old an ID token may be: it was made for this login, not for another one.
const fresh = 10 * time.Minute

// maxIDToken bounds an ID token, in bytes; maxSeen how many are remembered.
const (
	maxIDToken = 32 << 10
	maxSeen    = 100_000
)

// algorithms are the signatures that are accepted: those that only the provider can make.
func algorithms() []string {
	return []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}
}

// A Provider verifies the ID tokens of one identity provider. It is safe for concurrent use.
type Provider struct {
	conf   Config
	client *http.Client
	now    func() time.Time

	mu   sync.Mutex
	keys oidc.KeySet // nil until the provider was reached once
	seen map[[sha256.Size]byte]time.Time
}

// NewProvider makes a Provider; nothing is sent yet, so that a service starts while its provider is down.
func NewProvider(c Config, now func() time.Time) (*Provider, error) {
	client, err := NewClient(c.CA)
	if err != nil {
		return nil, err
	}
	return &Provider{conf: c, client: client, now: now, seen: map[[sha256.Size]byte]time.Time{}}, nil
}

// Offer is what a client must know to ask the provider.
func (p *Provider) Offer() api.LoginOffer {
	return api.LoginOffer{Issuer: p.conf.Issuer, ClientID: p.conf.ClientID, Scopes: p.conf.Scopes}
}

// Verify checks an ID token: signature, issuer, audience, age, and that it was not used before. It returns who that is
// here, by the first rule that fits, and for how long. [api.ErrUnauthorized] for a token that is not good,
// [api.ErrForbidden] for somebody no rule lets in, [api.ErrProvider] when the provider cannot be asked.
func (p *Provider) Verify(ctx context.Context, idToken string) (api.Operator, time.Duration, error) {
	if len(idToken) > maxIDToken {
		return api.Operator{}, 0, api.Refuse(api.ErrTooLarge, "an ID token of %d bytes, at most %d", len(idToken), maxIDToken)
	}
	keys, err := p.keySet(ctx)
	if err != nil {
		return api.Operator{}, 0, unreached(err)
	}
	asked := &asked{KeySet: keys}
	verifier := oidc.NewVerifier(p.conf.Issuer, asked, &oidc.Config{ClientID: p.conf.ClientID, SupportedSigningAlgs: algorithms(), Now: p.now})
	token, err := verifier.Verify(oidc.ClientContext(ctx, p.client), idToken)
	if errors.Is(asked.err, errReach) {
		return api.Operator{}, 0, unreached(asked.err)
	}
	if err == nil {
		err = p.check(token)
	}
	var claims map[string]any
	if err == nil {
		err = token.Claims(&claims)
	}
	if err != nil {
		return api.Operator{}, 0, refused(err)
	}
	who, err := p.conf.who(claims)
	if err != nil {
		return who, 0, err
	}
	if !p.first(idToken) {
		return api.Operator{}, 0, refused(errors.New("it was used before"))
	}
	return who, p.conf.Session, nil
}

func refused(err error) error {
	e := api.Refuse(api.ErrUnauthorized, "the ID token is refused: %.300s", err)
	e.Advice = "log in again; when that does not help, compare issuer and client ID with those of the provider, and the clocks"
	return e
}

func unreached(err error) error { return api.Refuse(api.ErrProvider, "%.300s", err) }

// asked remembers why keys could not be had: the verifier does not say it in a way that programs can tell.
type asked struct {
	oidc.KeySet
	err error
}

// VerifySignature implements oidc.KeySet.
func (a *asked) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	var payload []byte
	payload, a.err = a.KeySet.VerifySignature(ctx, jwt)
	return payload, a.err
}

// keySet asks the provider where its keys are, once it has answered.
func (p *Provider) keySet(ctx context.Context) (oidc.KeySet, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys != nil {
		return p.keys, nil
	}
	ctx = oidc.ClientContext(ctx, p.client)
	provider, err := oidc.NewProvider(ctx, p.conf.Issuer)
	if err != nil {
		return nil, err
	}
	var where struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&where); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(where.Keys, "https://") {
		return nil, fmt.Errorf("the identity provider has its keys at %q, which is not https", where.Keys)
	}
	p.keys = oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), p.client), where.Keys)
	return p.keys, nil
}

// check is what go-oidc leaves to its callers.
func (p *Provider) check(token *oidc.IDToken) error {
	if age := p.now().Sub(token.IssuedAt); age > fresh || age < -identity.Skew {
		return fmt.Errorf("it was issued at %s", token.IssuedAt.UTC().Format(time.RFC3339))
	}
	var azp struct {
		Party string `json:"azp"`
	}
	if err := token.Claims(&azp); err != nil {
		return err
	}
	if len(token.Audience) > 1 && azp.Party == "" || azp.Party != "" && azp.Party != p.conf.ClientID {
		return fmt.Errorf("it was made for %q", azp.Party)
	}
	return nil
}

// first takes note of a token, and reports whether it is seen for the first time.
func (p *Provider) first(idToken string) bool {
	sum, now := sha256.Sum256([]byte(idToken)), p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for old, at := range p.seen {
		if now.Sub(at) > fresh+identity.Skew {
			delete(p.seen, old)
		}
	}
	if _, again := p.seen[sum]; again || len(p.seen) >= maxSeen {
		return false
	}
	p.seen[sum] = now
	return true
}

// who finds name and role in the claims.
func (c Config) who(claims map[string]any) (api.Operator, error) {
	name, _ := claims[c.Name].(string)
	if name == "" || len(name) > 128 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return api.Operator{}, refused(fault.WithHint(fmt.Errorf("its claim %q names nobody", c.Name), "is the scope asked for?"))
	}
	if verified, _ := claims["email_verified"].(bool); c.Name == "email" && !verified {
		return api.Operator{}, refused(fmt.Errorf("the provider has not verified the address %s", name))
	}
	for _, r := range c.Roles {
		if holds(claims[r.Claim], r.Value) {
			return api.Operator{Name: name, Role: r.Role}, nil
		}
	}
	e := api.Refuse(api.ErrForbidden, "the identity provider vouches for %s, whom no rule here gives a role", name)
	e.Advice = "the rules are in the file that --oidc of the service names"
	return api.Operator{}, e
}

// holds reports whether a claim is a value, or a list that holds it.
func holds(claim any, value string) bool {
	switch c := claim.(type) {
	case string:
		return c == value
	case []any:
		return slices.Contains(c, any(value))
	}
	return false
}
