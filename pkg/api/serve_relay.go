package api

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// A Relay is what a hub does with the requests of its site. Its errors are those of this package or of package identity.
type Relay interface {
	// Pass hands a request on and returns what the service said; [ErrBusy] when that does not answer.
	Pass(ctx context.Context, r Relayed) (Said, error)
	// Enroll is Pass for a request to enrol, whose answer says where to pull from and whom to ask.
	Enroll(ctx context.Context, r Relayed) (Said, error)
	// CheckIn takes the check-in of a node whose signature holds, and hands it on or answers itself.
	CheckIn(ctx context.Context, c report.CheckIn, r Relayed) (Said, error)
	// Keep takes an upload; when it returns nil, it is on disk and will be delivered. From is who brought it: a node,
	// or a hub with those of many.
	Keep(from string, many bool, r Relayed) error
	// Admit counts a request as [Gate.Admit] does.
	Admit(what, sender string) error
}

// RelayBackend is what the server of a hub is made of.
type RelayBackend struct {
	Relay   Relay
	Hub     string // its name
	Fleet   string
	Log     *slog.Logger
	Now     func() time.Time
	Observe func(route string, status int, took time.Duration)
}

// relayServer serves nodes as [NewServer] does, and answers little itself.
type relayServer struct {
	*server
	RelayBackend
}

// NewRelayServer returns the handler of the /v1/ routes of a hub: those of nodes and of hubs behind it, not those of
// operators. It must be served over TLS with client certificates verified when given. A node is checked by the key in its
// certificate before anything is kept; whether it is still welcome is for the service to say.
func NewRelayServer(b RelayBackend) http.Handler {
	s := &relayServer{newServer(Backend{Fleet: b.Fleet, Log: b.Log, Now: b.Now, Observe: b.Observe}), b}
	mux := http.NewServeMux()
	for path, h := range map[string]handler{
		"/v1/enroll": s.pass(MaxSmall, "enroll", b.Relay.Enroll),
		"/v1/renew":  s.pass(MaxSmall, "enroll", b.Relay.Pass),
		"/v1/reboot": s.pass(MaxSmall, "enroll", b.Relay.Pass),
		"/v1/hub":    s.pass(MaxNotes, "relay", b.Relay.Pass),
		checkInPath:  s.relayCheckIn,
		batchPath:    s.relayBatch,
		"/v1/runs":   s.keep,
		"/v1/facets": s.keep,
	} {
		route := "POST " + path
		mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) { s.serve(route, h, w, r) })
	}
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, Refuse(ErrNotFound, "this is hub %s: operators ask the report service itself", b.Hub))
	})
	return mux
}

// member is who a verified client certificate of the fleet names; the zero Peer when none was shown.
func (s *relayServer) member(r *http.Request) (identity.Peer, error) {
	if r.TLS == nil {
		return identity.Peer{}, Refuse(ErrUnauthorized, "requests of nodes need TLS")
	}
	if len(r.TLS.VerifiedChains) == 0 {
		return identity.Peer{}, nil
	}
	peer, err := identity.PeerOf(r.TLS.PeerCertificates[0])
	if err != nil || peer.Fleet != s.RelayBackend.Fleet || peer.Role != identity.RoleNode && peer.Role != identity.RoleHub {
		return identity.Peer{}, Refuse(ErrWrongNode, "the certificate is not of a node of fleet %s", s.RelayBackend.Fleet)
	}
	return peer, nil
}

// pass serves what is handed on as it is: the service checks it.
func (s *relayServer) pass(limit int64, what string, do func(context.Context, Relayed) (Said, error)) handler {
	return func(w http.ResponseWriter, r *http.Request) (any, error) {
		peer, err := s.member(r)
		if err != nil {
			return nil, err
		}
		sender := peer.Name
		if sender == "" {
			sender = address(r)
		}
		if err := s.Relay.Admit(what, sender); err != nil {
			return nil, err
		}
		data, err := body(w, r, limit)
		if err != nil {
			return nil, err
		}
		return result(do(r.Context(), RelayedOf(r, data, s.Hub, peer.Role == identity.RoleHub, s.RelayBackend.Now())))
	}
}

// known reads a request of a node or of a hub behind this one. That of a node must be signed with the key of its
// certificate, at this time; what a hub brings is checked by the service, which knows the keys.
func (s *relayServer) known(w http.ResponseWriter, r *http.Request, what string, limit int64) (identity.Peer, Relayed, error) {
	peer, err := s.member(r)
	if err != nil {
		return peer, Relayed{}, err
	}
	if peer.Name == "" {
		return peer, Relayed{}, Refuse(ErrUnauthorized, "no client certificate of this fleet was shown")
	}
	fromHub := peer.Role == identity.RoleHub
	if fromHub {
		what = "relay"
	}
	if err := s.Relay.Admit(what, peer.Name); err != nil {
		return peer, Relayed{}, err
	}
	data, err := body(w, r, limit)
	if err != nil {
		return peer, Relayed{}, err
	}
	now := s.RelayBackend.Now()
	if !fromHub {
		err = genuine(r, data, peer.Name, now)
	}
	return peer, RelayedOf(r, data, s.Hub, fromHub, now), err
}

// genuine checks the signature of a node against the key of its certificate. Counters are kept by the service.
func genuine(r *http.Request, data []byte, node string, now time.Time) error {
	_, err := identity.Verify(r, data, func(name string) (ed25519.PublicKey, error) {
		key, ok := r.TLS.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
		if name != node || !ok {
			return nil, Refuse(ErrWrongNode, "the certificate is of %s, the signature of %s", node, name)
		}
		return key, nil
	}, anyCounter{}, now)
	return err
}

type anyCounter struct{}

func (anyCounter) Accept(string, int64) error { return nil }

func (s *relayServer) relayCheckIn(w http.ResponseWriter, r *http.Request) (any, error) {
	peer, relayed, err := s.known(w, r, "checkin", MaxSmall)
	if err != nil {
		return nil, err
	}
	if peer.Role == identity.RoleHub { // that one answers itself when it has to
		return result(s.Relay.Pass(r.Context(), relayed))
	}
	var c report.CheckIn
	if err := decode(relayed.Body, &c); err != nil {
		return nil, err
	}
	if c.Node != peer.Name {
		return nil, Refuse(ErrWrongNode, "signed by %s, about %.140q", peer.Name, c.Node)
	}
	return result(s.Relay.CheckIn(r.Context(), c, relayed))
}

func (s *relayServer) keep(w http.ResponseWriter, r *http.Request) (any, error) {
	peer, relayed, err := s.known(w, r, "upload", MaxUpload)
	if err != nil {
		return nil, err
	}
	return nil, s.Relay.Keep(peer.Name, peer.Role == identity.RoleHub, relayed)
}

// result turns what the service said into the answer of this server.
func result(said Said, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	if err := said.Err(); err != nil {
		return nil, err
	}
	return json.RawMessage(said.Body), nil
}

// line is the answer that was said, without line feeds, or the refusal.
func (s Said) line() (json.RawMessage, error) {
	if err := s.Err(); err != nil {
		return nil, err
	}
	var one bytes.Buffer
	if err := json.Compact(&one, s.Body); err != nil { // cannot be: it is valid
		return nil, fmt.Errorf("handing back an answer: %w", err)
	}
	return one.Bytes(), nil
}

// Err is the refusal that was said, nil if none was; [ErrBusy] for what is not of a report service.
func (s Said) Err() error {
	if s.Status == http.StatusOK && json.Valid(s.Body) {
		return nil
	}
	err := refused(answer{status: s.Status, line: strconv.Itoa(s.Status), header: http.Header{"Retry-After": {s.Retry}}, data: s.Body})
	if own, ok := err.(*Error); ok {
		return own
	}
	return Refuse(ErrBusy, "%s", err)
}
