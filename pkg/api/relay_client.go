package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// A Relayed is the request of a node as a hub received it, to be handed on unchanged.
type Relayed struct {
	Path string `json:"path"`
	// The headers with the signature of the node (RFC 9421); all are empty in a request that is not signed.
	Digest    string    `json:"digest,omitempty"`
	Input     string    `json:"input,omitempty"`
	Signature string    `json:"signature,omitempty"`
	Received  time.Time `json:"received"` // by the hub that is nearest to the node
	Hub       string    `json:"hub"`      // that hub
	Body      []byte    `json:"body"`
}

// RelayedOf takes a request of a node for relaying at a hub, whose body was read. A request that another hub brings keeps
// what that one said of it, which is taken only from a hub.
func RelayedOf(r *http.Request, body []byte, hub string, fromHub bool, now time.Time) Relayed {
	out := Relayed{Path: r.URL.EscapedPath(), Digest: r.Header.Get("Content-Digest"), Input: r.Header.Get("Signature-Input"),
		Signature: r.Header.Get("Signature"), Received: now.UTC(), Hub: hub, Body: body}
	if received, err := time.Parse(time.RFC3339Nano, r.Header.Get(headerReceived)); err == nil && fromHub && written(received) {
		out.Received = received.UTC()
	}
	if nearest := r.Header.Get(headerHub); fromHub && identity.CheckName(nearest) == nil {
		out.Hub = nearest
	}
	return out
}

// A Said is what the service answered to a request that was relayed.
type Said struct {
	Status int
	Retry  string // header Retry-After
	Body   []byte
}

// Relay hands the request of a node on, over the connection of the hub. Whatever the service answers is no error;
// [ErrUnreachable] when it did not. Check-ins that come at the same time go in one request, if the server takes that.
func (c *AgentClient) Relay(ctx context.Context, r Relayed) (Said, error) {
	if fitsBatch(r) {
		said, singly, err := c.batches.hand(ctx, r)
		if err != nil {
			return Said{}, fmt.Errorf("relaying: %w", err)
		}
		if !singly {
			return said, nil
		}
	}
	said, err := c.relayOne(ctx, r)
	if err != nil {
		return Said{}, fmt.Errorf("relaying: %w", err)
	}
	return said, nil
}

// relayOne is Relay in a request of its own.
func (c *AgentClient) relayOne(ctx context.Context, r Relayed) (Said, error) {
	said, err := c.wire.send(ctx, http.MethodPost, r.Path, r.Body, func(req *http.Request, _ []byte) error {
		for name, value := range map[string]string{"Content-Digest": r.Digest, "Signature-Input": r.Input, "Signature": r.Signature,
			headerReceived: r.Received.UTC().Format(time.RFC3339Nano), headerHub: r.Hub} {
			if value != "" {
				req.Header.Set(name, value)
			}
		}
		return nil
	}, sentNothing)
	if err != nil {
		return Said{}, err
	}
	return Said{Status: said.status, Retry: said.header.Get("Retry-After"), Body: said.data}, nil
}

// ReportHub gives the word of a hub for the nodes behind it.
func (c *AgentClient) ReportHub(ctx context.Context, r report.HubReport) (report.HubAnswer, error) {
	var answer report.HubAnswer
	err := c.post(ctx, "/v1/hub", r, &answer)
	return answer, err
}
