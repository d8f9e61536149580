package identity

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"vigo.dev/pkg/atomicfile"
)

// The files of an authority in its folder.
const (
	caCertFile = "ca.crt"
	caKeyFile  = "ca.key"
)

// OpenCA reads the authority kept in a folder, or makes one for the fleet and keeps it there. The key is written first:
// a folder that has a key but no certificate was interrupted and starts over.
func OpenCA(dir, fleet string, now time.Time) (*CA, error) {
	certPath, keyPath := filepath.Join(dir, caCertFile), filepath.Join(dir, caKeyFile)
	cert, err := os.ReadFile(certPath)
	if errors.Is(err, fs.ErrNotExist) {
		return makeCA(dir, fleet, now)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the authority: %w", err)
	}
	key, err := os.ReadFile(keyPath)
	if err != nil {
		return nil, fmt.Errorf("opening the authority: %w", err)
	}
	ca, err := ParseCA(cert, key)
	if err != nil {
		return nil, err
	}
	if ca.Fleet() != fleet {
		return nil, fmt.Errorf("opening the authority: it is of fleet %q, not of %q: %w", ca.Fleet(), fleet, ErrCA)
	}
	return ca, nil
}

func makeCA(dir, fleet string, now time.Time) (*CA, error) {
	ca, err := NewCA(fleet, now)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keeping the authority: %w", err)
	}
	key, err := ca.KeyPEM()
	if err != nil {
		return nil, err
	}
	if err := atomicfile.Write(filepath.Join(dir, caKeyFile), key, 0o600); err != nil {
		return nil, fmt.Errorf("keeping the authority: %w", err)
	}
	if err := atomicfile.Write(filepath.Join(dir, caCertFile), ca.CertPEM(), 0o644); err != nil {
		return nil, fmt.Errorf("keeping the authority: %w", err)
	}
	return ca, nil
}

// A Server holds the certificate a service shows and renews it when a third of its life is left, without a restart.
type Server struct {
	ca    *CA
	names []string
	now   func() time.Time

	mu   sync.Mutex
	cert *tls.Certificate
}

// NewServer returns the holder of a server certificate for the given names and addresses (see [CA.IssueServer]).
func (c *CA) NewServer(names []string, now func() time.Time) *Server {
	return &Server{ca: c, names: slices.Clone(names), now: now}
}

// Certificate returns a valid certificate; it has the form of tls.Config.GetCertificate.
func (s *Server) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.cert == nil || NeedsRenewal(s.cert.Leaf, now) {
		cert, err := s.ca.IssueServer(s.names, now)
		if err != nil {
			return nil, err
		}
		s.cert = &cert
	}
	return s.cert, nil
}

// TLS is the configuration of a listener: TLS 1.3 only, client certificates of this authority are verified when one is
// shown, and whether one is needed is decided request by request.
func (s *Server) TLS() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: s.Certificate,
		ClientAuth:     tls.VerifyClientCertIfGiven,
		ClientCAs:      s.ca.Pool(),
		Time:           s.now,
		NextProtos:     []string{"http/1.1"},
	}
}
