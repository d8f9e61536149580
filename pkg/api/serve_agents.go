package api

import (
	"net/http"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// signed reads the body of a request of a node and returns it with the name of the node. The signature must hold, and a
// client certificate, if shown, must be of the same node and key. needCert is whether one must be shown.
func (s *server) signed(w http.ResponseWriter, r *http.Request, what string, limit int64, needCert bool) (string, []byte, error) {
	certified, err := s.certified(r)
	if err != nil {
		return "", nil, err
	}
	if needCert && certified == "" {
		return "", nil, Refuse(ErrUnauthorized, "no client certificate of this fleet was shown")
	}
	if certified != "" {
		if err := s.Gate.Admit(what, certified); err != nil {
			return "", nil, err
		}
	} else if err := s.Gate.Admit("enroll", address(r)); err != nil {
		return "", nil, err
	}
	data, err := body(w, r, limit)
	if err != nil {
		return "", nil, err
	}
	// The node that signs must be the one on the connection before its counter is used up.
	stamp, err := identity.VerifyStamp(r, data, s.Gate.NodeKey)
	if err != nil {
		return "", nil, err
	}
	if certified != "" && certified != stamp.KeyID {
		return "", nil, Refuse(ErrWrongNode, "the certificate is of %s, the signature of %s", certified, stamp.KeyID)
	}
	if err := identity.Fresh(stamp, s.Gate, s.Now()); err != nil {
		return "", nil, err
	}
	return stamp.KeyID, data, nil
}

// certified is the node a verified client certificate names, or "" when none was shown.
func (s *server) certified(r *http.Request) (string, error) {
	if r.TLS == nil {
		return "", Refuse(ErrUnauthorized, "requests of nodes need TLS")
	}
	if len(r.TLS.VerifiedChains) == 0 {
		return "", nil
	}
	peer, err := identity.PeerOf(r.TLS.PeerCertificates[0])
	if err != nil || peer.Fleet != s.Fleet || peer.Role != identity.RoleNode {
		return "", Refuse(ErrWrongNode, "the certificate is not of a node of fleet %s", s.Fleet)
	}
	audit.Know(r.Context(), peer.Name, string(identity.RoleNode)) // the authority says so, and the connection proved the key
	key, err := s.Gate.NodeKey(peer.Name)
	if err != nil {
		return "", err
	}
	if !key.Equal(r.TLS.PeerCertificates[0].PublicKey) {
		return "", Refuse(ErrWrongNode, "the certificate of %s has another key than the node enrolled with", peer.Name)
	}
	return peer.Name, nil
}

func (s *server) enroll(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.Gate.Admit("enroll", address(r)); err != nil {
		return nil, err
	}
	data, err := body(w, r, MaxSmall)
	if err != nil {
		return nil, err
	}
	var req EnrollRequest
	if err := decode(data, &req); err != nil {
		return nil, err
	}
	return s.Agents.Enroll(r.Context(), req)
}

// renew needs no client certificate: one that ran out while the node was off is what is renewed, and the signature
// proves the same key.
func (s *server) renew(w http.ResponseWriter, r *http.Request) (any, error) {
	node, data, err := s.signed(w, r, "checkin", MaxSmall, false)
	if err != nil {
		return nil, err
	}
	var req RenewRequest
	if err := decode(data, &req); err != nil {
		return nil, err
	}
	return s.Agents.Renew(r.Context(), node, req.CSR)
}

func (s *server) checkIn(w http.ResponseWriter, r *http.Request) (any, error) {
	node, data, err := s.signed(w, r, "checkin", MaxSmall, true)
	if err != nil {
		return nil, err
	}
	var c report.CheckIn
	if err := decode(data, &c); err != nil {
		return nil, err
	}
	if c.Node != node {
		return nil, Refuse(ErrWrongNode, "signed by %s, about %.140q", node, c.Node)
	}
	return s.Agents.CheckIn(r.Context(), c)
}

func (s *server) runs(w http.ResponseWriter, r *http.Request) (any, error) {
	node, data, err := s.signed(w, r, "upload", MaxUpload, true)
	if err != nil {
		return nil, err
	}
	var req RunsRequest
	if err := decode(data, &req); err != nil {
		return nil, err
	}
	if len(req.Runs) > MaxRuns {
		return nil, Refuse(ErrTooLarge, "%d runs, at most %d", len(req.Runs), MaxRuns)
	}
	for i := range req.Runs {
		run := &req.Runs[i]
		switch {
		case run.Node != node:
			return nil, Refuse(ErrWrongNode, "signed by %s, about %.140q", node, run.Node)
		case run.ID == "" || len(run.ID) > 128:
			return nil, Refuse(ErrBadRequest, "a run must have an ID of at most 128 bytes")
		case len(run.Results) > MaxResults:
			return nil, Refuse(ErrTooLarge, "%d results in run %s, at most %d", len(run.Results), run.ID, MaxResults)
		}
	}
	return nil, s.Agents.PutRuns(r.Context(), node, req.Runs)
}

func (s *server) facets(w http.ResponseWriter, r *http.Request) (any, error) {
	node, data, err := s.signed(w, r, "upload", MaxUpload, true)
	if err != nil {
		return nil, err
	}
	var f report.Facets
	if err := decode(data, &f); err != nil {
		return nil, err
	}
	if f.Node != node {
		return nil, Refuse(ErrWrongNode, "signed by %s, about %.140q", node, f.Node)
	}
	if len(f.Facets) > MaxFacets {
		return nil, Refuse(ErrTooLarge, "%d facets, at most %d", len(f.Facets), MaxFacets)
	}
	for _, facet := range f.Facets {
		if !facet.Valid() {
			return nil, Refuse(ErrDigest, "trait %.64q does not have the digest it names", facet.Name)
		}
	}
	return nil, s.Agents.PutFacets(r.Context(), node, f)
}
