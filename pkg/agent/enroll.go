package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/trust"
)

// EnrollOptions says how to join a fleet.
type EnrollOptions struct {
	Server  string
	Token   string
	Node    string
	Version string
	Mirrors []string // registries to pull from before those the service tells, in order
	Now     func() time.Time
	Force   bool // although the host is enrolled already
}

// ErrEnrolled says that the host belongs to a fleet already.
var ErrEnrolled = fault.WithHint(errors.New("this host is enrolled already"), "use --force to join anew; what it was is forgotten")

// Enroll joins a fleet. The key is kept before it is used, so that an answer that was lost can be asked for again; the
// enrolment itself is written last, so that a half enrolment is none.
func Enroll(ctx context.Context, s State, o EnrollOptions) (Enrolment, error) {
	if err := checkMirrors(o.Mirrors); err != nil {
		return Enrolment{}, err
	}
	_, err := s.LoadEnrolment()
	if err == nil && !o.Force {
		return Enrolment{}, ErrEnrolled
	}
	if err != nil && !errors.Is(err, ErrNotEnrolled) && !o.Force {
		return Enrolment{}, err
	}
	if err == nil || o.Force {
		if err := s.forget(); err != nil {
			return Enrolment{}, err
		}
	}
	key, err := s.nodeKey()
	if err != nil {
		return Enrolment{}, err
	}
	answer, err := api.Enrolling{URL: o.Server, Token: o.Token, Node: o.Node, Agent: o.Version, Key: key, Now: o.Now}.Enroll(ctx)
	if err != nil {
		return Enrolment{}, err
	}
	if _, err := trust.ParseRoot(answer.TrustRoot); err != nil {
		return Enrolment{}, fmt.Errorf("reading the trust root of the fleet: %w", err)
	}
	e := Enrolment{Node: answer.Node, Fleet: answer.Fleet, Channel: answer.Channel, Labels: answer.Labels, Server: o.Server, Servers: answer.Servers,
		Mirrors: o.Mirrors, Registry: answer.Registry, Interval: answer.Interval, Enrolled: o.Now().UTC().Truncate(time.Second)}
	if err := s.beginTrust(e); err != nil {
		return Enrolment{}, err
	}
	for name, data := range map[string][]byte{certFile: []byte(answer.Certificate), caFile: []byte(answer.CA), rootFile: answer.TrustRoot} {
		if err := atomicfile.Write(s.Path(name), data, 0o600); err != nil {
			return Enrolment{}, err
		}
	}
	return e, s.SaveEnrolment(e)
}

// checkMirrors finds what is no reference of a registry now, rather than at every start.
func checkMirrors(refs []string) error {
	_, err := ocistore.OpenFleet(context.Background(), refs, &identity.Credentials{}, ocistore.Access{}, time.Now)
	return err
}

// loadKey reads the key of the node.
func (s State) loadKey() (identity.NodeKey, error) {
	data, err := os.ReadFile(s.Path(keyFile))
	if err != nil {
		return identity.NodeKey{}, fmt.Errorf("reading the node key: %w", err)
	}
	return identity.ParseNodeKey(data)
}

// nodeKey returns the key of a node that enrols, and makes it when there is none.
func (s State) nodeKey() (identity.NodeKey, error) {
	key, err := s.loadKey()
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = identity.NewNodeKey(); err != nil {
		return identity.NodeKey{}, err
	}
	data, err := key.PEM()
	if err != nil {
		return identity.NodeKey{}, err
	}
	return key, atomicfile.Write(s.Path(keyFile), data, 0o600)
}

// forget removes what belongs to an enrolment; the journal and the spool stay, since they are about the host.
func (s State) forget() error {
	for _, name := range []string{enrolmentFile, keyFile, certFile, caFile, rootFile, trustFile, counterFile} {
		if err := atomicfile.Remove(s.Path(name)); err != nil {
			return fmt.Errorf("forgetting the enrolment: %w", err)
		}
	}
	return nil
}
