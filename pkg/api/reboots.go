package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/lease"
	"vigo.dev/pkg/report"
)

// Reboots serves nodes and people: who may be down for a reboot.
type Reboots interface {
	// AskReboot gives a node a place in its group, or takes it back; what it answered survives a crash.
	AskReboot(ctx context.Context, a lease.Ask) (lease.Answer, error)
	// ListReboots returns who has a place and who waits for one, by node.
	ListReboots(ctx context.Context) ([]report.Reboot, error)
	// ReleaseReboot makes the place of a node free, whatever it does; [ErrNotFound].
	ReleaseReboot(ctx context.Context, node string) error
}

func (s *server) rebootRoutes() []route {
	return []route{
		{"POST /v1/reboot", "node", "Ask for the turn to reboot, or give it back", nil, lease.Ask{}, lease.Answer{}, s.askReboot},
		{"GET /v1/reboots", "viewer", "Nodes that reboot in turn, and those that wait for that", nil, nil, []report.Reboot{}, s.reboots},
		{"DELETE /v1/reboots/{node}", "operator", "Free the place of a node that is not back", nil, nil, nil, s.releaseReboot},
	}
}

func (s *server) askReboot(w http.ResponseWriter, r *http.Request) (any, error) {
	said, err := s.signed(w, r, kind{what: "checkin", limit: MaxSmall, needCert: true})
	if err != nil {
		return nil, err
	}
	var a lease.Ask
	if err := decode(said.data, &a); err != nil {
		return nil, err
	}
	if a.Node != said.node {
		return nil, Refuse(ErrWrongNode, "signed by %s, about %.140q", said.node, a.Node)
	}
	if err := a.Check(); err != nil {
		return nil, Refuse(ErrBadRequest, "%s", err)
	}
	return s.Reboots.AskReboot(r.Context(), a)
}

func (s *server) reboots(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.Reboots.ListReboots(r.Context())
}

func (s *server) releaseReboot(_ http.ResponseWriter, r *http.Request) (any, error) {
	return nil, s.Reboots.ReleaseReboot(r.Context(), r.PathValue("node"))
}

const rebootSeal = "reboot"

// sealedReboot is what the authority signs of an answer: whether who asked has a place.
func sealedReboot(a lease.Answer) ([]byte, error) {
	return json.Marshal(struct {
		Node, Nonce string
		Granted     bool
	}{a.Node, a.Nonce, a.Granted})
}

// SealReboot returns an answer with the seal of the fleet's authority.
func SealReboot(a lease.Answer, ca *identity.CA) (lease.Answer, error) {
	data, err := sealedReboot(a)
	if err == nil {
		a.Seal, err = ca.Seal(rebootSeal, data)
	}
	if err != nil {
		return lease.Answer{}, fmt.Errorf("sealing an answer: %w", err)
	}
	return a, nil
}

// checkReboot refuses an answer that the authority did not give to this ask.
func checkReboot(a lease.Answer, ask lease.Ask, ca []byte) error {
	if a.Node != ask.Node || a.Nonce != ask.Nonce {
		return errors.New("the answer is to another question")
	}
	data, err := sealedReboot(a)
	if err != nil {
		return err
	}
	return identity.CheckSeal(ca, rebootSeal, data, a.Seal)
}

// A RebootClient asks for the turn of one node.
type RebootClient struct {
	*AgentClient
	CA []byte // certificate of the fleet's authority, PEM
}

// AskReboot asks for a place to reboot, or gives it back. The answer is one of the authority, to this ask, whoever handed it on.
func (c RebootClient) AskReboot(ctx context.Context, a lease.Ask) (lease.Answer, error) {
	a.Nonce = rand.Text()
	var answer lease.Answer
	if err := c.post(ctx, "/v1/reboot", a, &answer); err != nil {
		return lease.Answer{}, err
	}
	if err := checkReboot(answer, a, c.CA); err != nil {
		return lease.Answer{}, fmt.Errorf("asking for the turn to reboot: %w", err)
	}
	return answer, nil
}

// Reboots lists who has a place to reboot, and who waits for one.
func (c *OperatorClient) Reboots(ctx context.Context) ([]report.Reboot, error) {
	var list []report.Reboot
	err := c.do(ctx, http.MethodGet, "/v1/reboots", nil, &list)
	return list, err
}

// ReleaseReboot makes the place of a node free; [ErrNotFound].
func (c *OperatorClient) ReleaseReboot(ctx context.Context, node string) error {
	return c.do(ctx, http.MethodDelete, "/v1/reboots/"+url.PathEscape(node), nil, nil)
}
