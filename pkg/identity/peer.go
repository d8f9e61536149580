package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"vigo.dev/pkg/fault"
)

// Role is what the holder of a certificate or of an operator token is.
type Role string

// The roles. Viewer may read, Operator may also change what the service keeps of nodes and tokens, Admin may do all and
// says who the others are, Node is an agent, Hub relays for the nodes of its site, Publisher is a controller that says what
// is current and can do nothing else.
const (
	RoleNode      Role = "node"
	RoleHub       Role = "hub"
	RoleViewer    Role = "viewer"
	RoleOperator  Role = "operator"
	RoleAdmin     Role = "admin"
	RolePublisher Role = "publisher"
)

// ErrPeer says that a certificate does not say who its holder is in this fleet.
var ErrPeer = errors.New("certificate names nobody of this fleet")

// ErrName says that a name cannot be used for a node or a fleet.
var ErrName = fault.WithHint(errors.New("name not allowed"),
	"names are 1 to 128 letters, digits, dots, dashes and underscores, beginning and ending with a letter or a digit")

// maxName bounds a name, in bytes.
const maxName = 128

// CheckName returns [ErrName] for what cannot name a node, an operator or a fleet.
func CheckName(name string) error {
	if !isName(name) || strings.Contains(name, "..") {
		return fmt.Errorf("%.140q: %w", name, ErrName)
	}
	return nil
}

// isName is written by hand because every request has several names.
func isName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case (c == '.' || c == '-' || c == '_') && i > 0 && i < len(name)-1:
		default:
			return false
		}
	}
	return true
}

// A Peer is who holds a client certificate.
type Peer struct {
	Fleet string
	Role  Role
	Name  string
}

// uri is the URI SAN of a certificate: vigo://<fleet>/<role>/<name>.
func (p Peer) uri() *url.URL {
	return &url.URL{Scheme: "vigo", Host: p.Fleet, Path: "/" + string(p.Role) + "/" + p.Name}
}

// PeerOf reads who holds a certificate whose chain has been verified. The name must be in the subject and in the URI.
func PeerOf(cert *x509.Certificate) (Peer, error) {
	if len(cert.URIs) != 1 || cert.URIs[0].Scheme != "vigo" {
		return Peer{}, ErrPeer
	}
	u := cert.URIs[0]
	role, name, found := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	p := Peer{Fleet: u.Host, Role: Role(role), Name: name}
	if !found || CheckName(name) != nil || name != cert.Subject.CommonName {
		return Peer{}, ErrPeer
	}
	return p, nil
}

// MemberOf is who of a fleet holds a certificate whose chain has been verified: a node, a hub or an operator. It fails with
// [ErrPeer] for others, such as the service itself.
func MemberOf(cert *x509.Certificate, fleet string) (Peer, error) {
	p, err := PeerOf(cert)
	if err != nil {
		return Peer{}, err
	}
	switch p.Role {
	case RoleNode, RoleHub, RoleViewer, RoleOperator, RoleAdmin, RolePublisher:
		if p.Fleet == fleet {
			return p, nil
		}
	}
	return Peer{}, fmt.Errorf("it is of a %.20s of fleet %.130q: %w", p.Role, p.Fleet, ErrPeer)
}

// OfHub reports whether a certificate is that of a hub. What a server with such a certificate says is the word of a relay.
func OfHub(cert *x509.Certificate) bool {
	p, err := PeerOf(cert)
	return err == nil && p.Role == RoleHub
}

// NeedsRenewal reports whether less than a third of a certificate's life is left at now.
func NeedsRenewal(cert *x509.Certificate, now time.Time) bool {
	life := cert.NotAfter.Sub(cert.NotBefore)
	return now.After(cert.NotAfter.Add(-life / 3))
}

// Expired reports whether a certificate is past its end, or not yet valid, at now.
func Expired(cert *x509.Certificate, now time.Time) bool {
	return now.After(cert.NotAfter) || now.Before(cert.NotBefore)
}
