package api

import (
	"context"
	"crypto/x509"
	"time"

	"vigo.dev/pkg/identity"
)

// KindCertificate is the kind of an [AccessToken] that is a client certificate.
const KindCertificate = "certificate"

// CertificateRequest asks for a client certificate of an operator.
type CertificateRequest struct {
	CSR      string        `json:"csr"`                // PEM, for the name of the operator
	Operator string        `json:"operator,omitempty"` // "": who asks
	Role     identity.Role `json:"role,omitempty"`     // "": that of the operator; never more
	Life     time.Duration `json:"life"`               // at most identity.OperatorLife
	Note     string        `json:"note,omitempty"`
}

// CertificateAnswer is a certificate, and what is known of it. Its ID stays when it is renewed.
type CertificateAnswer struct {
	AccessToken
	Certificate string `json:"certificate"` // PEM chain: operator, authority
}

// Certificates keeps the client certificates of operators. They are known by their keys: a certificate that the authority has
// signed and the service has not, or not any more, is nobody's.
type Certificates interface {
	// CertificateHolder returns what is known of a certificate that the connection has verified; [ErrRevoked], or
	// [ErrUnauthorized] when it has run out.
	CertificateHolder(cert *x509.Certificate) (AccessToken, error)
	// IssueCertificate answers a request for an operator. With enlist there is none of this name yet, and it becomes one, of the
	// role of t and without a token. [ErrBadRequest] when the key has a certificate already.
	IssueCertificate(ctx context.Context, t AccessToken, csr string, enlist bool) (CertificateAnswer, error)
	// RenewCertificate answers a request for the key of a certificate that is known, for as long as that was given.
	RenewCertificate(ctx context.Context, t AccessToken, csr string) (CertificateAnswer, error)
}
