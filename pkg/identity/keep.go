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
	"vigo.dev/pkg/fault"
)

// The files of an authority in its folder.
const (
	caCertFile = "ca.crt"
	caKeyFile  = "ca.key"
)

// OpenCA reads the authority kept in a folder, or makes one for the fleet and keeps it there. An empty fleet takes the
// authority that is there, whatever its name; [ErrNoCA] when there is none. The folder appears whole or not at all: one
// that lacks a file was damaged, and a new authority in its place would lock every node out, so that is an error. So is
// a key that others on this machine may read.
func OpenCA(dir, fleet string, now time.Time) (*CA, error) {
	if err := elsewhere(dir); err != nil {
		return nil, err
	}
	cert, certErr := os.ReadFile(filepath.Join(dir, caCertFile))
	key, keyErr := readPrivate(filepath.Join(dir, caKeyFile))
	if errors.Is(certErr, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist) {
		if fleet == "" {
			return nil, ErrNoCA
		}
		return makeCA(dir, fleet, now)
	}
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, fault.WithHint(fmt.Errorf("opening the authority in %s: %w: %w", dir, ErrCA, err), restoreHint)
	}
	ca, err := ParseCA(cert, key)
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("opening the authority in %s: %w", dir, err), restoreHint)
	}
	if fleet != "" && ca.Fleet() != fleet {
		return nil, fault.WithHint(fmt.Errorf("opening the authority: it is of fleet %q, not of %q: %w", ca.Fleet(), fleet, ErrCA),
			"every fleet has a data folder of its own")
	}
	return ca, nil
}

const restoreHint = "restore both files from the backup; to start anew, remove the folder: every node has to enrol again"

// readPrivate reads a file that nobody but its owner may read.
func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, fault.WithHint(fmt.Errorf("%s has mode %04o: others may read the key", path, perm), "chmod 600 "+path)
	}
	return os.ReadFile(path)
}

// makeCA writes a new authority beside its place and moves it there.
func makeCA(dir, fleet string, now time.Time) (_ *CA, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("keeping the authority: %w", err)
		}
	}()
	ca, err := NewCA(fleet, now)
	if err != nil {
		return nil, err
	}
	key, err := ca.KeyPEM()
	if err != nil {
		return nil, err
	}
	dir = filepath.Clean(dir)
	draft := dir + ".new"
	if err := errors.Join(os.RemoveAll(draft), os.MkdirAll(filepath.Dir(dir), 0o700), os.Mkdir(draft, 0o700)); err != nil {
		return nil, err
	}
	if err := atomicfile.Write(filepath.Join(draft, caKeyFile), key, 0o600); err != nil {
		return nil, err
	}
	if err := atomicfile.Write(filepath.Join(draft, caCertFile), ca.CertPEM(), 0o644); err != nil {
		return nil, err
	}
	if err := os.Rename(draft, dir); err != nil { // also onto an empty folder
		return nil, err
	}
	return ca, atomicfile.SyncDir(filepath.Dir(dir))
}

// A Server holds the certificate a service shows and renews it when a third of its life is left, without a restart.
type Server struct {
	ca    *CA
	names []string
	now   func() time.Time

	mu    sync.Mutex
	cert  *tls.Certificate
	tried time.Time // to renew it
}

// renewPause is between two tries to renew a certificate that is still valid, when the authority cannot be used.
const renewPause = time.Minute

// NewServer returns the holder of a server certificate for the given names and addresses (see [CA.IssueServer]).
func (c *CA) NewServer(names []string, now func() time.Time) *Server {
	return &Server{ca: c, names: slices.Clone(names), now: now}
}

// Certificate returns a valid certificate; it has the form of tls.Config.GetCertificate.
func (s *Server) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.cert != nil && (!NeedsRenewal(s.cert.Leaf, now) || now.Sub(s.tried) < renewPause && !Expired(s.cert.Leaf, now)) {
		return s.cert, nil
	}
	s.tried = now
	cert, err := s.ca.IssueServer(s.names, now)
	switch {
	case err == nil:
		s.cert = &cert
	case s.cert == nil || Expired(s.cert.Leaf, now):
		return nil, err
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
