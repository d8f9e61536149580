package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"golang.org/x/sync/errgroup"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
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
	all, err := readBatch(w, r, caller, s.Gate.Admit, buf)
	if err != nil {
		return nil, err
	}
	out, statuses := heardLines{}, make([]int, len(all))
	for i, one := range all {
		ctx := audit.WithCaller(r.Context(), &audit.Caller{Name: caller.Name, Role: string(caller.Role), Address: address(r)})
		var answer report.Answer
		if i > 0 { // the first is counted with the batch
			err = s.Gate.Admit(relaying, caller.Name)
		}
		if err == nil {
			answer, err = s.brought(ctx, one)
		}
		if err == nil {
			statuses[i], err = http.StatusOK, out.hear(answer)
		} else {
			refusal := wireError(err)
			s.log(r, refusal, err)
			s.recordRefusal(r.WithContext(ctx), checkInRoute, refusal)
			statuses[i] = refusal.Status
			out.lines, err = out.refuse(refusal)
		}
		if err != nil {
			return nil, err
		}
	}
	took := s.Now().Sub(began)
	for _, status := range statuses {
		s.Observe(checkInRoute, status, took)
	}
	return out.lines, nil
}

// heardLines are answers to check-ins, of which many are the same.
type heardLines struct {
	lines
	last report.Answer
	body []byte // last, encoded; nil: there is none
}

func (l *heardLines) hear(answer report.Answer) error {
	if l.body == nil || !l.last.Equal(answer) {
		var err error
		if l.body, err = json.Marshal(answer); err != nil {
			return fmt.Errorf("answering a check-in: %w", err)
		}
		l.last = answer
	}
	l.lines = l.add(http.StatusOK, 0, l.body)
	return nil
}

// brought takes one check-in of a batch.
func (s *server) brought(ctx context.Context, one Relayed) (answer report.Answer, err error) {
	if len(one.Body) > MaxSmall {
		return answer, Refuse(ErrTooLarge, "body of %d bytes, at most %d", len(one.Body), MaxSmall)
	}
	stamp, err := identity.Proof{Digest: one.Digest, Input: one.Input, Signature: one.Signature}.Verify(http.MethodPost, checkInPath, one.Body, s.Gate.NodeKey)
	if err != nil {
		return answer, err
	}
	audit.Know(ctx, stamp.KeyID, string(identity.RoleNode)) // its signature holds
	said := word{node: stamp.KeyID, counter: stamp.Counter, data: one.Body}
	if said.hub, err = s.relayed(kind{what: "checkin"}, stamp, one.Received, one.Hub); err != nil {
		return answer, err
	}
	return s.hear(ctx, said)
}

// relaying is what a hub does, to those who count.
const relaying = "relay"

// readBatch reads a batch, which only a hub may bring, and counts it as one request: also one that is no batch.
func readBatch(w http.ResponseWriter, r *http.Request, from identity.Peer, admit func(what, sender string) error, buf *bytes.Buffer) ([]Relayed, error) {
	if from.Name == "" {
		return nil, Refuse(ErrUnauthorized, "no client certificate of this fleet was shown")
	}
	if from.Role != identity.RoleHub {
		return nil, Refuse(ErrWrongNode, "check-ins of many nodes, brought by %s, which is not a hub", from.Name)
	}
	if err := admit(relaying, from.Name); err != nil {
		return nil, err
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
	all, err := readBatch(w, r, peer, s.Relay.Admit, new(bytes.Buffer))
	if err != nil {
		return nil, err
	}
	answers, errs := make([]json.RawMessage, len(all)), make([]error, len(all))
	var group errgroup.Group
	for i, one := range all {
		if identity.CheckName(one.Hub) != nil {
			one.Hub = s.Hub
		}
		if i > 0 { // the first is counted with the batch
			if errs[i] = s.Relay.Admit(relaying, peer.Name); errs[i] != nil {
				continue
			}
		}
		group.Go(func() error { // no more than a batch has
			var said Said
			if said, errs[i] = s.Relay.Pass(r.Context(), one); errs[i] == nil {
				answers[i], errs[i] = said.line()
			}
			return nil
		})
	}
	_ = group.Wait() // nothing that is started says an error
	var out lines
	for i := range all {
		if errs[i] == nil {
			out = out.add(http.StatusOK, 0, answers[i])
			continue
		}
		if out, err = out.refuse(wireError(errs[i])); err != nil {
			return nil, err
		}
	}
	return out, nil
}
