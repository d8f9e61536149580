package fleetsim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/rollout/sim"
)

// atOnce is how many nodes enrol, and are retired, at once.
const atOnce = 16

// tokenLife is how long the tokens of a simulation can be used; they are revoked as soon as all have enrolled.
const tokenLife = 12 * time.Hour

// enrol gives every hub and node that has none an identity. Nodes enrol through the hubs, as those of a site do: of one
// address a service lets 120 nodes enrol in a minute, through a hub 60,000.
func (s *Sim) enrol(ctx context.Context) (err error) {
	if err := s.enrolHubs(ctx); err != nil {
		return err
	}
	var missing []string
	for i := range s.Nodes {
		kept, ok := s.state.nodes[s.nameOf(i)]
		if !ok || s.Shared == Own && s.worn(kept) {
			missing = append(missing, s.nameOf(i))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	defer func() { err = errors.Join(err, s.state.flush()) }()
	tokens, revoke, err := s.tokens(ctx, missing)
	defer func() { err = errors.Join(err, revoke()) }()
	if err != nil {
		return err
	}
	s.say("enrolling %d nodes through %d hubs", len(missing), len(s.hubs))
	return s.each(ctx, "enrolling", len(missing), func(ctx context.Context, i int) error {
		return s.enrolNode(ctx, tokens[missing[i]], missing[i], s.hubs[i%len(s.hubs)])
	})
}

// tokens makes a token for all nodes that get the same labels, and says which is for whom.
func (s *Sim) tokens(ctx context.Context, names []string) (of map[string]string, revoke func() error, err error) {
	alike := map[string][]string{}
	for _, name := range names {
		key := fmt.Sprint(sim.LabelsOf(s.Fates.Labels, s.Fates.Seed, name)) // in the order of their names
		alike[key] = append(alike[key], name)
	}
	of = map[string]string{}
	var made []string
	revoke = func() (err error) {
		for _, id := range made {
			err = errors.Join(err, s.People.RevokeToken(context.WithoutCancel(ctx), id))
		}
		return err
	}
	for _, names := range alike {
		labels := sim.LabelsOf(s.Fates.Labels, s.Fates.Seed, names[0])
		labels["simulated"] = "true"
		token, err := s.People.CreateToken(ctx, api.TokenRequest{Names: s.Prefix + "-*", Channel: s.Channel, Uses: len(names), Life: tokenLife,
			Labels: labels, Note: "vigo bench fleet"})
		if err != nil {
			return nil, revoke, fmt.Errorf("making a token for the simulated nodes: %w", err)
		}
		made = append(made, token.Grant.ID)
		for _, name := range names {
			of[name] = token.Token
		}
	}
	return of, revoke, nil
}

// worn is whether a certificate cannot be shown any more, or not for long.
func (s *Sim) worn(e enrolled) bool {
	block, _ := pem.Decode([]byte(e.Certificate))
	if block == nil {
		return true
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	return err != nil || identity.NeedsRenewal(cert, s.Now())
}

func (s *Sim) enrolHubs(ctx context.Context) (err error) {
	for i := range s.Hubs {
		h, err := s.enrolHub(ctx, fmt.Sprintf("%s-hub-%02d", s.Prefix, i))
		if err != nil {
			return err
		}
		s.hubs = append(s.hubs, h)
	}
	if s.Dark > 0 {
		s.dark, err = s.enrolHub(ctx, s.darkHub())
	}
	return err
}

// enrolHub gives a hub an identity, unless it has one.
func (s *Sim) enrolHub(ctx context.Context, name string) (*hub, error) {
	kept, ok := s.state.hubs[name]
	if ok && !s.worn(kept) && kept.Root != nil { // one of an earlier version kept no root
		return s.openHub(kept)
	}
	token, err := s.People.CreateToken(ctx, api.TokenRequest{Names: name, Hub: true, Uses: 1, Life: time.Hour, Note: "vigo bench fleet"})
	if err != nil {
		return nil, fmt.Errorf("making a token for a simulated hub: %w", err)
	}
	key, text, err := keyOf(kept)
	if err != nil {
		return nil, err
	}
	answer, err := api.Enrolling{URL: s.URL, Token: token.Token, Node: name, Agent: s.Version, Hub: true, Key: key, Now: s.Now}.Enroll(ctx)
	if err != nil {
		return nil, err
	}
	kept = enrolled{Name: name, Key: text, Certificate: leafOf(answer.Certificate), Authority: answer.CA, Hub: true,
		Fleet: answer.Fleet, Root: answer.TrustRoot, Registry: answer.Registry}
	if err := errors.Join(s.state.put(kept), s.state.flush()); err != nil {
		return nil, fmt.Errorf("keeping %s: %w", name, err)
	}
	return s.openHub(kept)
}

// keyOf is the key that is kept, or a new one.
func keyOf(kept enrolled) (identity.NodeKey, string, error) {
	if kept.Key != "" {
		key, err := identity.ParseNodeKey([]byte(kept.Key))
		return key, kept.Key, err
	}
	key, err := identity.NewNodeKey()
	if err != nil {
		return key, "", err
	}
	text, err := key.PEM()
	return key, string(text), err
}

// leafOf is the first certificate of a PEM chain.
func leafOf(chain string) string {
	block, _ := pem.Decode([]byte(chain))
	if block == nil {
		return ""
	}
	return string(pem.EncodeToMemory(block))
}

func (s *Sim) enrolNode(ctx context.Context, token, name string, h *hub) error {
	key, text, err := keyOf(s.state.kept(name))
	if err != nil {
		return err
	}
	csr, err := key.CSR(name)
	if err != nil {
		return err
	}
	body, err := json.Marshal(api.EnrollRequest{Token: token, Node: name, CSR: string(csr), Agent: s.Version})
	if err != nil {
		return err
	}
	var answer api.EnrollAnswer
	req := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: "/v1/enroll"}, Header: http.Header{}}
	if err := h.pass(ctx, req, body, &answer, s.Now()); err != nil {
		return fmt.Errorf("enrolling %s: %w", name, err)
	}
	return s.state.put(enrolled{Name: name, Key: text, Certificate: leafOf(answer.Certificate), Channel: answer.Channel, Labels: answer.Labels})
}

// kept is what is kept of a node; the zero value if nothing is.
func (s *state) kept(name string) enrolled {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes[name]
}

// each does something n times, some at once, and tells of it each second.
func (s *Sim) each(ctx context.Context, phase string, n int, do func(context.Context, int) error) error {
	var done atomic.Int64
	ended := make(chan struct{})
	told := make(chan struct{})
	go func() {
		defer close(told)
		s.tell(ended, func(elapsed time.Duration, last int) Progress {
			return Progress{Phase: fmt.Sprintf("%s %d of %d", phase, done.Load(), n), Elapsed: elapsed, Done: int(done.Load()) - last}
		}, func() int { return int(done.Load()) })
	}()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			err := patiently(ctx, func() error { return do(ctx, i) })
			done.Add(1)
			return err
		})
	}
	err := group.Wait()
	close(ended)
	<-told
	return err
}

// patiently does something again while the service says that it has too much to do.
func patiently(ctx context.Context, do func() error) error {
	for {
		err := do()
		var said *api.Error
		if !errors.As(err, &said) || said.Retry == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(said.Retry):
		}
	}
}

// certificate joins what is kept to what is shown on a connection.
func (e enrolled) certificate(key identity.NodeKey) (tls.Certificate, error) {
	cert, err := key.Certificate([]byte(e.Certificate))
	if err != nil {
		return cert, fmt.Errorf("reading the certificate of %s: %w", e.Name, err)
	}
	return cert, nil
}
