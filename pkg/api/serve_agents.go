package api

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// word is a request of a node that was found genuine.
type word struct {
	node    string
	hub     string // that is nearest to the node; empty: it came by itself
	counter int64  // rises with every request of the node
	data    []byte
}

// signed reads the body of a request of a node. The signature must hold, and a client certificate, if shown, must be of the
// same node and key, or of a hub that relays the request.
func (s *server) signed(w http.ResponseWriter, r *http.Request, k kind) (word, error) {
	caller, err := s.caller(r)
	if err != nil {
		return word{}, err
	}
	if k.needCert && caller.Name == "" {
		return word{}, Refuse(ErrUnauthorized, "no client certificate of this fleet was shown")
	}
	if err := s.admit(r, k.what, caller); err != nil {
		return word{}, err
	}
	buf := k.into
	if buf == nil {
		buf = new(bytes.Buffer)
	}
	if err := readBody(w, r, jsonType, k.limit, buf); err != nil {
		return word{}, err
	}
	data := buf.Bytes()
	// The node that signs must be the one on the connection before its counter is used up.
	stamp, err := identity.VerifyStamp(r, data, s.Gate.NodeKey)
	if err != nil {
		return word{}, err
	}
	said := word{node: stamp.KeyID, counter: stamp.Counter, data: data}
	if caller.Role == identity.RoleHub && caller.Name != stamp.KeyID {
		audit.Know(r.Context(), stamp.KeyID, string(identity.RoleNode)) // its signature holds
		received, err := time.Parse(time.RFC3339Nano, r.Header.Get(headerReceived))
		if err != nil {
			return word{}, Refuse(ErrWrongNode, "the certificate is of hub %s, the signature of %s, and the hub does not say when it received that", caller.Name, stamp.KeyID)
		}
		said.hub, err = s.relayed(k, stamp, received, r.Header.Get(headerHub))
		return said, err
	}
	if caller.Name != "" && caller.Name != stamp.KeyID {
		return word{}, Refuse(ErrWrongNode, "the certificate is of %s, the signature of %s", caller.Name, stamp.KeyID)
	}
	return said, identity.Fresh(stamp, s.Gate, s.Now())
}

// kind is what is expected of a request of a node.
type kind struct {
	what     string // see [Gate]
	limit    int64  // bytes of the body
	needCert bool
	repeats  bool          // the same request again changes nothing
	into     *bytes.Buffer // for the body; nil: a new one
}

// admit counts a request against the rate of who is on the connection.
func (s *server) admit(r *http.Request, what string, caller identity.Peer) error {
	switch {
	case caller.Role == identity.RoleHub:
		return s.Gate.Admit("relay", caller.Name)
	case caller.Name != "":
		return s.Gate.Admit(what, caller.Name)
	}
	return s.Gate.Admit("enroll", address(r))
}

// caller is who a verified client certificate names, a node or a hub; the zero Peer when none was shown.
func (s *server) caller(r *http.Request) (identity.Peer, error) {
	if r.TLS == nil {
		return identity.Peer{}, Refuse(ErrUnauthorized, "requests of nodes need TLS")
	}
	if len(r.TLS.VerifiedChains) == 0 {
		return identity.Peer{}, nil
	}
	peer, err := identity.PeerOf(r.TLS.PeerCertificates[0])
	if err != nil || peer.Fleet != s.Fleet || peer.Role != identity.RoleNode && peer.Role != identity.RoleHub {
		return identity.Peer{}, Refuse(ErrWrongNode, "the certificate is not of a node of fleet %s", s.Fleet)
	}
	audit.Know(r.Context(), peer.Name, string(peer.Role)) // the authority says so, and the connection proved the key
	key, err := s.Gate.NodeKey(peer.Name)
	if err != nil {
		return identity.Peer{}, err
	}
	if !key.Equal(r.TLS.PeerCertificates[0].PublicKey) {
		return identity.Peer{}, Refuse(ErrWrongNode, "the certificate of %s has another key than the node enrolled with", peer.Name)
	}
	return peer, nil
}

func (s *server) enroll(w http.ResponseWriter, r *http.Request) (any, error) {
	caller, err := s.caller(r)
	if err != nil {
		return nil, err
	}
	if err := s.admit(r, "enroll", caller); err != nil {
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
	said, err := s.signed(w, r, kind{what: "checkin", limit: MaxSmall})
	if err != nil {
		return nil, err
	}
	var req RenewRequest
	if err := decode(said.data, &req); err != nil {
		return nil, err
	}
	return s.Agents.Renew(r.Context(), said.node, req.CSR)
}

func (s *server) checkIn(w http.ResponseWriter, r *http.Request) (any, error) {
	buf := s.bodies.Get().(*bytes.Buffer)
	defer s.bodies.Put(buf) // what is decoded does not point into it
	buf.Reset()
	said, err := s.signed(w, r, kind{what: "checkin", limit: MaxSmall, needCert: true, into: buf})
	if err != nil {
		return nil, err
	}
	return s.hear(r.Context(), said)
}

// hear takes what a node says of itself.
func (s *server) hear(ctx context.Context, said word) (answer report.Answer, err error) {
	c := s.checkIns.Get().(*report.CheckIn)
	defer s.checkIns.Put(c)
	if err := report.DecodeCheckIn(said.data, c); err != nil {
		return answer, Refuse(ErrBadRequest, "decoding the body: %s", err)
	}
	if c.Node != said.node {
		return answer, Refuse(ErrWrongNode, "signed by %s, about %.140q", said.node, c.Node)
	}
	c.Hub, c.Seq = said.hub, said.counter // whatever the node says
	return s.Agents.CheckIn(ctx, *c)
}

func (s *server) runs(w http.ResponseWriter, r *http.Request) (any, error) {
	said, err := s.signed(w, r, kind{what: "upload", limit: MaxUpload, needCert: true, repeats: true})
	if err != nil {
		return nil, err
	}
	var req RunsRequest
	if err := decode(said.data, &req); err != nil {
		return nil, err
	}
	if len(req.Runs) > MaxRuns {
		return nil, Refuse(ErrTooLarge, "%d runs, at most %d", len(req.Runs), MaxRuns)
	}
	for i := range req.Runs {
		run := &req.Runs[i]
		switch {
		case run.Node != said.node:
			return nil, Refuse(ErrWrongNode, "signed by %s, about %.140q", said.node, run.Node)
		case run.ID == "" || len(run.ID) > 128:
			return nil, Refuse(ErrBadRequest, "a run must have an ID of at most 128 bytes")
		case len(run.Results) > MaxResults:
			return nil, Refuse(ErrTooLarge, "%d results in run %s, at most %d", len(run.Results), run.ID, MaxResults)
		}
	}
	return nil, s.Agents.PutRuns(r.Context(), said.node, req.Runs)
}

func (s *server) facets(w http.ResponseWriter, r *http.Request) (any, error) {
	said, err := s.signed(w, r, kind{what: "upload", limit: MaxUpload, needCert: true, repeats: true})
	if err != nil {
		return nil, err
	}
	var f report.Facets
	if err := decode(said.data, &f); err != nil {
		return nil, err
	}
	if f.Node != said.node {
		return nil, Refuse(ErrWrongNode, "signed by %s, about %.140q", said.node, f.Node)
	}
	if len(f.Facets) > MaxFacets {
		return nil, Refuse(ErrTooLarge, "%d facets, at most %d", len(f.Facets), MaxFacets)
	}
	for _, facet := range f.Facets {
		if !facet.Valid() {
			return nil, Refuse(ErrDigest, "trait %.64q does not have the digest it names", facet.Name)
		}
	}
	return nil, s.Agents.PutFacets(r.Context(), said.node, f)
}
