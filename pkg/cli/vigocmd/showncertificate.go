package vigocmd

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
)

// shownCertificate is a client certificate that commands show in place of a token.
type shownCertificate struct {
	cert      tls.Certificate
	certPath  string
	authority string // fingerprint
}

// certificate is the one that flags, the environment or the configuration name; nil: none is.
func (c *connection) certificate(env *cli.Env) (*shownCertificate, error) {
	path := c.existing(env)
	conf, err := readOperatorConfig(path)
	if err != nil && !errors.Is(err, errNoConfig) {
		return nil, err
	}
	cert, key := c.cert, c.key
	if cert == "" && key == "" && c.config == "" { // what was named on the command line goes before what is in the environment
		cert, key = env.Getenv("VIGO_CERT"), env.Getenv("VIGO_KEY")
	}
	if (cert == "") != (key == "") && conf.Certificate == "" {
		return nil, cli.UsageError(errors.New("--cert and --key belong together, as do VIGO_CERT and VIGO_KEY"))
	}
	return conf.shown(path, cert, key)
}

// shown is the certificate of a configuration, with another file for either where one is named; nil: there is none.
func (conf operatorConfig) shown(path, cert, key string) (*shownCertificate, error) {
	beside := func(name string) string {
		if name == "" || filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(filepath.Dir(path), name)
	}
	if cert == "" {
		cert = beside(conf.Certificate)
	}
	if key == "" {
		key = beside(conf.Key)
	}
	if cert == "" {
		return nil, nil
	}
	return readCertificate(cert, key, conf.Authority)
}

func readCertificate(certPath, keyPath, authority string) (*shownCertificate, error) {
	chain, err := os.ReadFile(certPath)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	key, err := os.ReadFile(keyPath)
	if errors.Is(err, fs.ErrNotExist) {
		err = fault.WithHint(err, "put the key there that the certificate was asked with, or say where it is with --key or VIGO_KEY")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the key of the certificate: %w", err)
	}
	s := &shownCertificate{certPath: certPath, authority: authority}
	if s.cert, err = tls.X509KeyPair(chain, key); err != nil {
		return nil, fmt.Errorf("reading the certificate %s with the key %s: %w", certPath, keyPath, err)
	}
	if s.authority == "" && len(s.cert.Certificate) > 1 { // as the service gave it
		last := s.cert.Certificate[len(s.cert.Certificate)-1]
		s.authority, err = identity.FingerprintPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: last}))
	}
	if s.authority == "" {
		return nil, fault.WithHint(fmt.Errorf("reading the certificate %s: the authority of the fleet is not in it", certPath), "keep the whole file that the service gave, with both certificates")
	}
	return s, err
}

// client talks to the service that a configuration names, as who it says.
func (conf operatorConfig) client(env *cli.Env, path string) (*api.OperatorClient, error) {
	shown, err := conf.shown(path, "", "")
	switch {
	case err != nil:
		return nil, err
	case shown != nil:
		return shown.client(env, conf.Server)
	}
	return api.NewOperatorClient(conf.Server, conf.Token, env.Now)
}

// client talks to a service with the certificate. One that has run out is not shown: the connection would only break. Of one that
// ends soon it says so.
func (s *shownCertificate) client(env *cli.Env, server string) (*api.OperatorClient, error) {
	leaf, now := s.cert.Leaf, env.Now()
	if identity.Expired(leaf, now) {
		return nil, fault.WithHint(fmt.Errorf("the certificate %s of %s is valid from %s to %s", s.certPath, leaf.Subject.CommonName,
			leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339)), "an admin makes a new one: `vigo operator certificate create`")
	}
	if identity.NeedsRenewal(leaf, now) {
		env.Say("vigo: the certificate %s ends on %s: `vigo operator certificate renew`", s.certPath, until(leaf.NotAfter))
	}
	if server == "" {
		return nil, cli.UsageError(fault.WithHint(errors.New("it is not known which service to ask"), "--server https://HOST:PORT, or a configuration that names it"))
	}
	return api.NewCertificateClient(server, s.cert, s.authority, env.Now)
}
