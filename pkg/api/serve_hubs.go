package api

import (
	"net/http"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// The headers a hub adds to what it relays. The request of the node, with its signature, stays as it was.
const (
	headerReceived = "Vigo-Received" // when the hub that is nearest to the node received it; RFC 3339
	headerHub      = "Vigo-Hub"      // the name of that hub
)

// relayed checks a request of a node that a hub has brought, which was received by the hub that is nearest to the node, and returns
// that hub.
func (s *server) relayed(k kind, stamp identity.Stamp, received time.Time, nearest string) (string, error) {
	if identity.CheckName(nearest) != nil {
		return "", Refuse(ErrBadRequest, "%s: %.140q is not a name", headerHub, nearest)
	}
	if err := s.Gate.Admit(k.what, stamp.KeyID); err != nil { // a node is no more behind a hub than elsewhere
		return "", err
	}
	return nearest, identity.FreshRelayed(stamp, s.Gate, received, s.Now(), k.repeats)
}

// hub takes the report of a hub, which may come through another one.
func (s *server) hub(w http.ResponseWriter, r *http.Request) (any, error) {
	said, err := s.signed(w, r, kind{what: "checkin", limit: MaxNotes, needCert: true})
	if err != nil {
		return nil, err
	}
	var req report.HubReport
	if err := decode(said.data, &req); err != nil {
		return nil, err
	}
	if req.Hub != said.node {
		return nil, Refuse(ErrWrongNode, "signed by %s, about %.140q", said.node, req.Hub)
	}
	if len(req.Seen) > report.MaxSeen {
		return nil, Refuse(ErrTooLarge, "%d nodes, at most %d", len(req.Seen), report.MaxSeen)
	}
	return s.Hubs.HubReport(r.Context(), said.node, req)
}
