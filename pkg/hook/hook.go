// Package hook asks programs of the site: one that signs certificate requests, and one that says who may enrol.
//
// It refuses to believe what a program returns (package identity checks every certificate), to wait for one without end, to
// start more of them than a machine bears, and to give them secrets.
package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"vigo.dev/pkg/excerpt"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/identity"
)

// ErrRefused says that a program said no.
var ErrRefused = errors.New("not approved")

const (
	// timeLimit bounds one run; the request of the node waits for it.
	timeLimit = 15 * time.Second
	// atOnce is how many programs run at the same time.
	atOnce = 8
	// outputLimit is the most that is read of what a program prints, in bytes.
	outputLimit = 64 << 10
)

// A Program is asked with its arguments as they are; there is no shell.
type Program struct {
	argv   []string
	runner host.Runner
	slots  chan struct{}
}

// New takes a command line apart at spaces. An empty one is an error.
func New(line string, runner host.Runner) (*Program, error) {
	argv := strings.Fields(line)
	if len(argv) == 0 {
		return nil, errors.New("no program is named")
	}
	if _, err := runner.Find(argv[0]); err != nil {
		return nil, err
	}
	return &Program{argv: argv, runner: runner, slots: make(chan struct{}, atOnce)}, nil
}

func (p *Program) run(ctx context.Context, env []string, stdin []byte) (host.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return host.Result{}, fmt.Errorf("asking %s: too many are asked at once: %w", p.argv[0], ctx.Err())
	}
	res, err := p.runner.Run(ctx, host.Command{Argv: p.argv, Env: env, Stdin: bytes.NewReader(stdin), Limit: outputLimit})
	if err != nil {
		return res, fmt.Errorf("asking %s: %w", p.argv[0], err)
	}
	if ctx.Err() != nil {
		return res, fmt.Errorf("asking %s: it has not answered within %s: %w", p.argv[0], timeLimit, ctx.Err())
	}
	return res, nil
}

// Sign has a certificate request signed: PEM on standard input, a PEM chain on standard output, status 0. What the
// certificate must be is in the environment: VIGO_FLEET, VIGO_ROLE, VIGO_NAME (the common name), VIGO_NAMES (all its
// alternative names, as OpenSSL has them: URI:…,DNS:…,IP:…; for a node VIGO_URI alone), VIGO_USAGE (clientAuth, serverAuth,
// or both with a comma), VIGO_NOT_BEFORE and VIGO_NOT_AFTER (RFC 3339), VIGO_DAYS. It is an identity.SignCSR.
func (p *Program) Sign(ctx context.Context, r identity.SignRequest) ([]byte, error) {
	usage := []string{"clientAuth"}
	if r.Peer.Role == identity.RoleService {
		usage = nil
	}
	if len(r.Names) > 0 {
		usage = append(usage, "serverAuth")
	}
	names := []string{"URI:" + r.URI}
	for _, name := range r.Names {
		kind := "DNS:"
		if net.ParseIP(name) != nil {
			kind = "IP:"
		}
		names = append(names, kind+name)
	}
	days := int(time.Until(r.Until).Round(24*time.Hour) / (24 * time.Hour))
	res, err := p.run(ctx, []string{"VIGO_FLEET=" + r.Peer.Fleet, "VIGO_ROLE=" + string(r.Peer.Role), "VIGO_NAME=" + r.Peer.Name, "VIGO_URI=" + r.URI,
		"VIGO_USAGE=" + strings.Join(usage, ","), "VIGO_NAMES=" + strings.Join(names, ","), "VIGO_NOT_BEFORE=" + r.From.UTC().Format(time.RFC3339), "VIGO_NOT_AFTER=" + r.Until.UTC().Format(time.RFC3339), fmt.Sprint("VIGO_DAYS=", max(days, 1))}, r.CSR)
	if err != nil {
		return nil, err
	}
	if res.Code != 0 {
		return nil, fmt.Errorf("asking %s for a certificate of %s: exit status %d: %s", p.argv[0], r.Peer.Name, res.Code, excerpt.Said(res.Stderr))
	}
	return res.Stdout, nil
}

// A Request is what the program that approves reads on its standard input, as JSON.
type Request struct {
	Version   int             `json:"version"`   // 1
	Operation string          `json:"operation"` // enroll or renew
	Fleet     string          `json:"fleet"`
	Node      string          `json:"node"`
	Role      identity.Role   `json:"role"` // node, or hub
	Key       string          `json:"key"`  // ID of the public key
	CSR       string          `json:"csr"`  // PEM
	Address   string          `json:"address,omitempty"`
	Agent     string          `json:"agent,omitempty"` // version, as it says itself
	Token     *identity.Grant `json:"token,omitempty"` // what the token allows; without its secret
	Time      time.Time       `json:"time"`
}

// Approve asks whether a certificate may be issued: status 0 is yes, status 1 is no ([ErrRefused], with what it wrote to
// standard error), and everything else means that it could not be decided.
func (p *Program) Approve(ctx context.Context, r Request) error {
	r.Version = 1
	doc, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("asking for approval: %w", err)
	}
	res, err := p.run(ctx, nil, doc)
	switch {
	case err != nil:
		return err
	case res.Code == 1:
		return fmt.Errorf("%w: %s", ErrRefused, excerpt.Said(res.Stderr))
	case res.Code != 0:
		return fmt.Errorf("asking %s for approval: exit status %d: %s", p.argv[0], res.Code, excerpt.Said(res.Stderr))
	}
	return nil
}
