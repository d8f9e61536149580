package api

import (
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"time"

	"vigo.dev/pkg/identity"
)

// shown is the client certificate of an operator of this fleet. That of a node, a hub or the service is somebody who tries to
// be an operator: [ErrWrongNode].
func (s *server) shown(r *http.Request) (*x509.Certificate, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil, ErrUnauthorized
	}
	cert := r.TLS.PeerCertificates[0]
	peer, err := identity.PeerOf(cert)
	if err != nil || peer.Fleet != s.Fleet || !slices.Contains(operatorRoles(), peer.Role) {
		return nil, Refuse(ErrWrongNode, "the certificate is not of an operator of fleet %s", s.Fleet)
	}
	return cert, nil
}

// certified is who shows a client certificate. What it says of a role is not asked: the service knows.
func (s *server) certified(r *http.Request) (AccessToken, error) {
	cert, err := s.shown(r)
	if err != nil {
		return AccessToken{}, err
	}
	if err := s.Gate.Admit("operator", address(r)); err != nil {
		return AccessToken{}, err
	}
	return s.Certificates.CertificateHolder(cert)
}

func (s *server) issueCertificate(w http.ResponseWriter, r *http.Request) (any, error) {
	who, mine, err := s.self(r)
	if err != nil {
		return nil, err
	}
	var req CertificateRequest
	if err := read(w, r, MaxSmall, &req); err != nil {
		return nil, err
	}
	if req.Life > identity.OperatorLife {
		return nil, Refuse(ErrBadRequest, "a certificate lives at most %d days", identity.OperatorLife/(24*time.Hour))
	}
	t := AccessToken{Operator: req.Operator, Role: req.Role, Kind: KindCertificate, Note: req.Note, Created: s.Now().UTC()}
	if t.Operator == "" {
		t.Operator = who.Name
	}
	t.Expires = t.Created.Add(req.Life)
	enlist, err := s.mayEnlist(r, who, t, req.Life)
	if err == nil && !enlist {
		err = s.mayCreate(r, who, mine, &t, req.Life)
		if nobody, ok := errors.AsType[*Error](err); ok && nobody.Code == ErrNotFound.Code {
			nobody.Advice = "--role says what somebody is to be who is no operator yet" // Refuse made it for this request
		}
	}
	if err != nil {
		return nil, err
	}
	return s.Certificates.IssueCertificate(r.Context(), t, req.CSR, enlist)
}

// mayEnlist reports whether an admin names somebody who is no operator yet, and says what they are to be.
func (s *server) mayEnlist(r *http.Request, who Operator, t AccessToken, life time.Duration) (bool, error) {
	if who.Role != identity.RoleAdmin || t.Role == "" || life <= 0 || len(t.Note) > maxNote || t.Operator == who.Name {
		return false, nil
	}
	list, err := s.Access.AccessTokens(r.Context())
	if err != nil || slices.ContainsFunc(list, func(l AccessToken) bool { return l.Operator == t.Operator && l.Kind == "operator" }) {
		return false, err
	}
	if err := identity.CheckName(t.Operator); err != nil {
		return false, err
	}
	if !slices.Contains(operatorRoles(), t.Role) {
		return false, Refuse(ErrBadRequest, "role %.40q is not one of %v", t.Role, operatorRoles())
	}
	return true, nil
}

// renewCertificate is for who shows the certificate, not a token: the key is proved on the connection.
func (s *server) renewCertificate(w http.ResponseWriter, r *http.Request) (any, error) {
	if r.Header.Get("Authorization") != "" {
		return nil, Refuse(ErrBadRequest, "a certificate is renewed by who shows it, not with a token")
	}
	_, mine, err := s.self(r)
	if err != nil {
		return nil, err
	}
	var req RenewRequest
	if err := read(w, r, MaxSmall, &req); err != nil {
		return nil, err
	}
	return s.Certificates.RenewCertificate(r.Context(), *mine, req.CSR)
}
