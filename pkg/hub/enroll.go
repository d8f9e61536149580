package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/trust"
)

// The files of a hub in its data folder, beside the folders of its mirror, its registry and its spool.
const (
	enrolmentFile = "hub.json" // who this hub is and whom it asks; see Enrolment
	keyFile       = "hub.key"  // Ed25519, PKCS#8 PEM, 0600
	certFile      = "hub.crt"  // certificate chain, for asking and for serving
	caFile        = "ca.crt"   // the fleet's authority, pinned at enrolment
	rootFile      = "root.json"
	numbersFile   = "numbers.json" // of signed requests
	mirrorDir     = "mirror"
	registryDir   = "registry"
	spoolDir      = "spool"
)

// An Enrolment is what a hub was told when it enrolled.
type Enrolment struct {
	Name     string        `json:"name"`
	Fleet    string        `json:"fleet"`
	Channel  string        `json:"channel"` // of its token: what it mirrors unless it is told otherwise
	Servers  []string      `json:"servers"` // URLs of the service, or of hubs before it, in order
	Registry []string      `json:"registry"`
	Interval time.Duration `json:"interval"` // of nodes
}

// ErrNotEnrolled says that the data folder belongs to no hub of a fleet yet.
var ErrNotEnrolled = fault.WithHint(errors.New("this hub is not enrolled"),
	"give --server and a token once: `vigo token create --hub` makes one")

// EnrollOptions says how to join a fleet.
type EnrollOptions struct {
	Server  string // URL of the service, or of a hub before this one
	Token   string // of `vigo token create --hub`
	Name    string
	Version string
	Now     func() time.Time
}

// Enroll joins a fleet as a hub, and keeps what it was told in the data folder, which must be there. The key is kept before
// it is used, so that an answer that was lost can be asked for again; the enrolment is written last, so that a half one is
// none.
func Enroll(ctx context.Context, data string, o EnrollOptions) (Enrolment, error) {
	key, err := hubKey(filepath.Join(data, keyFile))
	if err != nil {
		return Enrolment{}, err
	}
	answer, err := api.Enrolling{URL: o.Server, Token: o.Token, Node: o.Name, Agent: o.Version, Hub: true, Key: key, Now: o.Now}.Enroll(ctx)
	if err != nil {
		return Enrolment{}, err
	}
	if _, err := trust.ParseRoot(answer.TrustRoot); err != nil {
		return Enrolment{}, fmt.Errorf("reading the trust root of the fleet: %w", err)
	}
	e := Enrolment{Name: answer.Node, Fleet: answer.Fleet, Channel: answer.Channel, Servers: append([]string{o.Server}, answer.Servers...),
		Registry: answer.Registry, Interval: answer.Interval}
	doc, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return Enrolment{}, fmt.Errorf("keeping the enrolment: %w", err)
	}
	for _, file := range []struct {
		name string
		data []byte
	}{{certFile, []byte(answer.Certificate)}, {caFile, []byte(answer.CA)}, {rootFile, answer.TrustRoot}, {enrolmentFile, append(doc, '\n')}} {
		if err := atomicfile.Write(filepath.Join(data, file.name), file.data, 0o600); err != nil {
			return Enrolment{}, fmt.Errorf("keeping the enrolment: %w", err)
		}
	}
	return e, nil
}

// LoadEnrolment reads who a hub is; [ErrNotEnrolled] if that was never said.
func LoadEnrolment(data string) (Enrolment, error) {
	var e Enrolment
	doc, err := os.ReadFile(filepath.Join(data, enrolmentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return e, ErrNotEnrolled
	}
	if err == nil {
		err = json.Unmarshal(doc, &e)
	}
	if err == nil && (e.Name == "" || e.Fleet == "" || len(e.Servers) == 0) {
		err = errors.New("it does not say name, fleet and servers")
	}
	if err != nil {
		return e, restore(fmt.Errorf("reading %s: %w", enrolmentFile, err))
	}
	return e, nil
}

// restore tells what helps when a file of the hub is lost.
func restore(err error) error {
	return fault.WithHint(err, "restore the file; or remove the data folder, `vigo node retire` the name of the hub and enrol again")
}

// hubKey returns the key of a hub that enrols, and makes it when there is none.
func hubKey(path string) (identity.NodeKey, error) {
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		return identity.ParseNodeKey(data)
	case !errors.Is(err, fs.ErrNotExist):
		return identity.NodeKey{}, fmt.Errorf("reading the key of the hub: %w", err)
	}
	key, err := identity.NewNodeKey()
	if err != nil {
		return identity.NodeKey{}, err
	}
	if data, err = key.PEM(); err != nil {
		return identity.NodeKey{}, err
	}
	return key, atomicfile.Write(path, data, 0o600)
}
