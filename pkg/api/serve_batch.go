package api

import (
	"bytes"
	"context"
	"net/http"

	"golang.org/x/sync/errgroup"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
)

// checkInBatch takes the check-ins that a hub brings in one request. Each is checked, counted, refused and recorded as if it had come
// in a request of its own; one after the other, so that a batch costs no more than one goroutine, and those of one node stay in order.
func (s *server) checkInBatch(w http.ResponseWriter, r *http.Request) (any, error) {
	began := s.Now()
	caller, err := s.caller(r)
	if err != nil {
		return nil, err
	}
	buf := s.batches.Get().(*bytes.Buffer)
	defer s.batches.Put(buf) // at most MaxBatch, and what is decoded does not point into it
	buf.Reset()
	all, err := readBatch(w, r, caller, buf)
	if err != nil {
		return nil, err
	}
	var out lines
	statuses := make([]int, len(all))
	for i, one := range all {
		r := r.WithContext(audit.WithCaller(r.Context(), &audit.Caller{Name: caller.Name, Role: string(caller.Role), Address: address(r)}))
		answer, err := s.brought(r.Context(), caller, one)
		if err != nil {
			s.log(r, wireError(err), err)
			s.recordRefusal(r, checkInRoute, wireError(err))
		}
		if out, statuses[i], err = out.add(answer, err); err != nil {
			return nil, err
		}
	}
	took := s.Now().Sub(began)
	for _, status := range statuses {
		s.Observe(checkInRoute, status, took)
	}
	return out, nil
}

// brought takes one check-in of a batch.
func (s *server) brought(ctx context.Context, caller identity.Peer, one Relayed) (any, error) {
	if err := s.Gate.Admit("relay", caller.Name); err != nil {
		return nil, err
	}
	if len(one.Body) > MaxSmall {
		return nil, Refuse(ErrTooLarge, "body of %d bytes, at most %d", len(one.Body), MaxSmall)
	}
	stamp, err := identity.Proof{Digest: one.Digest, Input: one.Input, Signature: one.Signature}.Verify(http.MethodPost, checkInPath, one.Body, s.Gate.NodeKey)
	if err != nil {
		return nil, err
	}
	audit.Know(ctx, stamp.KeyID, string(identity.RoleNode)) // its signature holds
	said := word{node: stamp.KeyID, counter: stamp.Counter, data: one.Body}
	if said.hub, err = s.relayed(kind{what: "checkin"}, stamp, one.Received, one.Hub); err != nil {
		return nil, err
	}
	return s.hear(ctx, said)
}

// readBatch reads a batch, which only a hub may bring.
func readBatch(w http.ResponseWriter, r *http.Request, from identity.Peer, buf *bytes.Buffer) ([]Relayed, error) {
	if from.Name == "" {
		return nil, Refuse(ErrUnauthorized, "no client certificate of this fleet was shown")
	}
	if from.Role != identity.RoleHub {
		return nil, Refuse(ErrWrongNode, "check-ins of many nodes, brought by %s, which is not a hub", from.Name)
	}
	if err := readBody(w, r, jsonLines, MaxBatch, buf); err != nil {
		return nil, err
	}
	return parseBatch(buf.Bytes())
}

// relayBatch takes the check-ins that a hub behind this one brings. Each is passed on as if it had come by itself, so what comes from
// several hubs at once goes on together.
func (s *relayServer) relayBatch(w http.ResponseWriter, r *http.Request) (any, error) {
	peer, err := s.member(r)
	if err != nil {
		return nil, err
	}
	all, err := readBatch(w, r, peer, new(bytes.Buffer))
	if err != nil {
		return nil, err
	}
	answers, errs := make([]any, len(all)), make([]error, len(all))
	var group errgroup.Group
	for i, one := range all {
		if identity.CheckName(one.Hub) != nil {
			one.Hub = s.Hub
		}
		if errs[i] = s.Relay.Admit("relay", peer.Name); errs[i] != nil {
			continue
		}
		group.Go(func() error { // no more than a batch has
			answers[i], errs[i] = result(s.Relay.Pass(r.Context(), one))
			return nil
		})
	}
	_ = group.Wait() // nothing that is started says an error
	var out lines
	for i := range all {
		if out, _, err = out.add(answers[i], errs[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
