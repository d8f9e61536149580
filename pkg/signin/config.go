// Package signin lets people in who an identity provider vouches for (OpenID Connect): the service's side verifies ID
// tokens and says what role they come to, the client's side gets one through a browser.
//
// It refuses to keep a token of the provider, to take one that was not made for this client a moment ago, or twice, to
// accept a signature that anybody could have made (none, or with a shared secret), and to give a role that no rule names.
package signin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
)

// A Config says which provider is asked, and what its people may do here.
type Config struct {
	Issuer   string   `yaml:"issuer"`   // https URL, as in the ID tokens
	ClientID string   `yaml:"clientID"` // a public client, with PKCE; there is no secret
	Scopes   []string `yaml:"scopes"`   // default: openid, email
	CA       string   `yaml:"ca"`       // file with the authorities of the provider's certificate; "": those of the system
	// Name is the claim that names a person; default: email, which must be verified then.
	Name    string        `yaml:"name"`
	Session time.Duration `yaml:"session"` // how long a login is good for; default 8 h, at most 24 h
	// Dashboard is where people find the dashboard, https://HOST[:PORT]; "": they do not log in to it through the provider.
	Dashboard string `yaml:"dashboard"`
	Roles     []Rule `yaml:"roles"` // the first that fits; who fits none is not let in
}

// A Rule gives a role to who has a value in a claim: the claim is that string, or a list that holds it.
type Rule struct {
	Claim string        `yaml:"claim"`
	Value string        `yaml:"value"`
	Role  identity.Role `yaml:"role"` // viewer, operator or admin
}

const (
	usualSession = 8 * time.Hour
	maxSession   = 24 * time.Hour
)

// ReadConfig reads a configuration from a YAML file and completes it. Keys it does not know are mistakes.
func ReadConfig(path string) (Config, error) {
	var c Config
	f, err := os.Open(path)
	if err != nil {
		return c, fmt.Errorf("reading how people log in: %w", err)
	}
	defer f.Close()
	dec := yaml.NewDecoder(io.LimitReader(f, 1<<20))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		return c, fmt.Errorf("reading how people log in: %s: %w", path, err)
	}
	if err := c.complete(); err != nil {
		return c, fmt.Errorf("reading how people log in: %s: %w", path, err)
	}
	return c, nil
}

// complete fills in what is left out, and refuses what would let in more than was meant.
func (c *Config) complete() error {
	u, err := url.Parse(c.Issuer)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return fault.WithHint(fmt.Errorf("issuer: %q cannot be used", c.Issuer), "write https://HOST/PATH, exactly as the provider has it in its tokens")
	case c.ClientID == "":
		return errors.New("clientID: it is missing")
	case c.Session < 0 || c.Session > maxSession:
		return fmt.Errorf("session: %s is not between 0 and %s", c.Session, maxSession)
	case len(c.Roles) == 0:
		return fault.WithHint(errors.New("roles: there are none, so nobody could log in"), "roles: [{claim: groups, value: sre, role: operator}]")
	}
	if u, err := url.Parse(c.Dashboard); c.Dashboard != "" && (err != nil || u.Scheme != "https" || u.Host == "" || c.Dashboard != "https://"+u.Host) {
		return fault.WithHint(fmt.Errorf("dashboard: %q cannot be used", c.Dashboard), "write https://HOST or https://HOST:PORT, as people open it")
	}
	for i, r := range c.Roles {
		if r.Claim == "" || r.Value == "" {
			return fmt.Errorf("roles: number %d names no claim, or no value", i+1)
		}
		if !slices.Contains([]identity.Role{identity.RoleViewer, identity.RoleOperator, identity.RoleAdmin}, r.Role) {
			return fmt.Errorf("roles: number %d: %q is not viewer, operator or admin", i+1, r.Role)
		}
	}
	if len(c.Scopes) == 0 {
		c.Scopes = []string{"openid", "email"}
	}
	if !slices.Contains(c.Scopes, "openid") {
		c.Scopes = append([]string{"openid"}, c.Scopes...)
	}
	if c.Name == "" {
		c.Name = "email"
	}
	if c.Session == 0 {
		c.Session = usualSession
	}
	return nil
}

// The limits on talking to a provider.
const (
	maxAnswer = 1 << 20 // bytes
	patience  = 15 * time.Second
)

// errReach says that a provider was not reached: nothing is known of the token.
var errReach = errors.New("the identity provider cannot be reached")

// NewClient returns an HTTP client for a provider whose certificate is of the authorities in a PEM file; "": those of the
// system.
func NewClient(caFile string) (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		data, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("reading the authorities of the identity provider: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("reading the authorities of the identity provider: %s holds no certificate in PEM", caFile)
		}
	}
	return &http.Client{Timeout: patience, Transport: bounded{&http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: conf, MaxIdleConns: 4,
		IdleConnTimeout: time.Minute}}}, nil
}

// bounded reads no more of an answer than a provider has to say.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errReach, err)
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	return resp, nil
}
