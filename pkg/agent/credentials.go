package agent

import (
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
)

// loadCredentials reads the key and the certificate of a node, and the authority it trusts.
func loadCredentials(s State, now func() time.Time) (*identity.Credentials, error) {
	c, err := identity.OpenCredentials(identity.CredentialFiles{Key: s.Path(keyFile), Certificate: s.Path(certFile), Authority: s.Path(caFile)}, now)
	if err != nil {
		return nil, again(err)
	}
	return c, nil
}

// again tells what helps when the identity of a node is lost.
func again(err error) error {
	return fault.WithHint(err, "restore the file, or enrol again with --force")
}
