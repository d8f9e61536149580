package attack

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// sending is an attack of one request.
func sending(make func(c *caller) *http.Request) func(*fleet, *node) []string {
	return func(_ *fleet, n *node) []string {
		c := n.as()
		return []string{c.send(make(c))}
	}
}

// enrolling is an attack of one enrolment, which must fail.
func enrolling(token func(f *fleet, n *node) string, name, code string) func(*fleet, *node) []string {
	return func(f *fleet, n *node) []string {
		err := f.enrolAs(n.t, token(f, n), name)
		if err == nil {
			return []string{"enrolled"}
		}
		return []string{code} // what is told in the status says whether that is why
	}
}

func newNodeKey(c *caller) identity.NodeKey {
	c.t.Helper()
	key, err := identity.NewNodeKey()
	if err != nil {
		c.t.Fatal(err)
	}
	return key
}

func requestAttacks() []requestAttack {
	const wire = "a copy of what a node sent"
	return append(append(operatorAttacks(), roleAttacks()...), []requestAttack{
		{name: "replay", holds: wire, does: "sends a check-in again", want: "replay", make: func(_ *fleet, n *node) []string {
			c := n.as()
			first, second := copyOf(c, c.request(checkIns, n.honest()))
			if code := c.send(first); code != "" {
				n.t.Fatalf("the check-in itself was refused: %s", code)
			}
			return []string{c.send(second)}
		}},
		{name: "reordered", holds: "check-ins of a node that it kept back", does: "sends one long after those that followed it", want: "replay",
			make: func(_ *fleet, n *node) []string {
				c := n.as()
				kept := c.request(checkIns, n.honest())
				c.counter += 1000 // the node goes on
				if code := c.send(c.request(checkIns, n.honest())); code != "" {
					n.t.Fatalf("the check-in that followed was refused: %s", code)
				}
				return []string{c.send(kept)}
			}},
		{name: "kept-back", holds: wire, does: "sends a check-in an hour later, for the first time", want: "clock",
			make: sending(func(c *caller) *http.Request {
				return c.signed(checkIns, evilCheckIn(c.node), time.Now().Add(-time.Hour))
			})},
		{name: "forged", holds: "a certificate of a node and a key of its own", does: "signs a check-in with that key", want: "signature",
			make: sending(func(c *caller) *http.Request {
				c.key = newNodeKey(c)
				return c.request(checkIns, evilCheckIn(c.node))
			})},
		{name: "body-altered", holds: "the wire behind TLS", does: "changes the body of a signed check-in", want: "content-digest",
			make: sending(func(c *caller) *http.Request {
				return body(c.request(checkIns, evilCheckIn(c.node)), `{"node":"web-1"}`)
			})},
		{name: "path-altered", holds: "the wire behind TLS", does: "sends a signed check-in to where runs are taken", want: "signature",
			make: sending(func(c *caller) *http.Request {
				r := c.request(checkIns, evilCheckIn(c.node))
				r.URL.Path = "/v1/runs"
				return r
			})},
		{name: "query-added", holds: "the wire behind TLS", does: "adds a query that the signature does not cover", want: "signature",
			make: sending(func(c *caller) *http.Request {
				r := c.request(checkIns, evilCheckIn(c.node))
				r.URL.RawQuery = "as=web-2"
				return r
			})},
		{name: "second-signature", holds: "the wire behind TLS", does: "adds a second signature for who looks at the last", want: "signature",
			make: sending(func(c *caller) *http.Request {
				r := c.request(checkIns, evilCheckIn(c.node))
				r.Header.Add("Signature", r.Header.Get("Signature"))
				return r
			})},
		{name: "about-another-node", holds: "a node", does: "reports as another one", want: "wrong-node",
			make: func(f *fleet, n *node) []string {
				c := f.join(n.t, "web-2", channel).as()
				return []string{c.send(c.request(checkIns, evilCheckIn("web-1")))}
			}},
		{name: "runs-of-another-node", holds: "a node", does: "delivers runs of another one", want: "wrong-node",
			make: func(f *fleet, n *node) []string {
				c := f.join(n.t, "web-2", channel).as()
				return []string{c.send(c.request("/v1/runs", map[string]any{"runs": []report.Run{{ID: "1", Node: "web-1"}}}))}
			}},
		{name: "traits-of-another-node", holds: "a node", does: "uploads traits of another one", want: "wrong-node",
			make: func(f *fleet, n *node) []string {
				c := f.join(n.t, "web-2", channel).as()
				return []string{c.send(c.request("/v1/facets", map[string]any{"node": "web-1", "facets": []any{}}))}
			}},
		{name: "certificate-of-another-node", holds: "a node, and the key of another one", does: "shows its certificate and signs as the other", want: "wrong-node",
			make: func(f *fleet, n *node) []string {
				other, c := f.join(n.t, "web-2", channel).as(), n.as()
				c.cert = other.cert
				return []string{c.send(c.request(checkIns, evilCheckIn("web-1")))}
			}},
		{name: "certificate-without-key", holds: "the certificate of a node, without its key", does: "shows it", want: badTLS,
			make: sending(func(c *caller) *http.Request {
				r := c.request(checkIns, evilCheckIn(c.node))
				c.cert = tls.Certificate{Certificate: c.cert.Certificate, PrivateKey: newNodeKey(c).Signer()}
				return r
			})},
		{name: "certificate-of-another-authority", holds: "an authority of its own for a fleet of the same name", does: "shows a certificate for a node that is enrolled", want: badTLS,
			make: sending(func(c *caller) *http.Request {
				ca, err := identity.NewCA(fleetName, time.Now())
				if err != nil {
					c.t.Fatal(err)
				}
				csr, err := c.key.CSR(c.node)
				if err != nil {
					c.t.Fatal(err)
				}
				chain, _, err := ca.IssueClient(csr, identity.Client{Role: identity.RoleNode, Name: c.node}, time.Now())
				if err != nil {
					c.t.Fatal(err)
				}
				if c.cert, err = c.key.Certificate(chain); err != nil {
					c.t.Fatal(err)
				}
				return c.request(checkIns, evilCheckIn(c.node))
			})},
		{name: "retired", holds: "a node that was retired", does: "checks in", want: "retired",
			make: func(f *fleet, n *node) []string {
				other := f.join(n.t, "web-2", channel)
				c := other.as()
				f.vigo(n.t, "node", "retire", "web-2")
				return []string{c.send(c.request(checkIns, evilCheckIn("web-2"))), c.send(c.request("/v1/renew", map[string]string{}))}
			}},
		{name: "token-reuse", holds: "a token that was used once", does: "enrols a node of its own with it", want: "token",
			make: enrolling(func(f *fleet, n *node) string {
				token := f.vigo(n.t, "token", "create", "--uses", "1")
				if err := f.enrolAs(n.t, token, "web-2"); err != nil {
					n.t.Fatal(err)
				}
				return token
			}, "web-3", "token")},
		{name: "token-for-other-names", holds: "a token for web-2x", does: "enrols db-1", want: "token",
			make: enrolling(func(f *fleet, n *node) string { return f.vigo(n.t, "token", "create", "--names", "web-2*") }, "db-1", "token")},
		{name: "token-revoked", holds: "a token that was revoked", does: "enrols a node of its own with it", want: "token",
			make: enrolling(func(f *fleet, n *node) string {
				token := f.vigo(n.t, "token", "create")
				f.vigo(n.t, "token", "revoke", secretOf(n.t, token).ID)
				return token
			}, "web-2", "token")},
		{name: "token-invented", holds: "half a token: all but the secret", does: "tries one secret", want: "token",
			make: enrolling(func(f *fleet, n *node) string {
				token := secretOf(n.t, f.vigo(n.t, "token", "create"))
				other, err := identity.NewSecret(token.Fingerprint, false)
				if err != nil {
					n.t.Fatal(err)
				}
				other.ID = token.ID
				return other.Text()
			}, "web-2", "token")},
		{name: "hub-forges", holds: "a hub", does: "hands on a check-in of a node that it signed itself", want: "signature",
			make: func(f *fleet, n *node) []string {
				c := n.as()
				c.key = newNodeKey(c)
				return []string{f.handsOn(n, c.request(checkIns, evilCheckIn(n.name)))}
			}},
		{name: "hub-forges-among-others", holds: "a hub", does: "hands on a check-in that it signed itself in one request with one of another node", want: "signature",
			make: func(f *fleet, n *node) []string {
				other, forger := f.join(n.t, "web-2", channel), n.as()
				forger.key = newNodeKey(forger)
				said := f.handsOnAll(n, forger.request(checkIns, evilCheckIn(n.name)), other.as().request(checkIns, other.honest()))
				if said[1] != "" {
					n.t.Errorf("the one that is right was refused: %s", said[1])
				}
				return said[:1]
			}},
		{name: "hub-replays", holds: "a hub", does: "hands on a check-in twice", want: "replay",
			make: func(f *fleet, n *node) []string {
				c := n.as()
				first, second := copyOf(c, c.request(checkIns, n.honest()))
				if code := c.send(first); code != "" {
					n.t.Fatalf("the check-in itself was refused: %s", code)
				}
				return []string{f.handsOn(n, second)}
			}},
		{name: "hub-alters", holds: "a hub", does: "changes what a node says before it hands it on", want: "content-digest",
			make: func(f *fleet, n *node) []string {
				return []string{f.handsOn(n, body(n.as().request(checkIns, n.honest()), `{"node":"web-1"}`))}
			}},
		{name: "node-as-hub", holds: "a node", does: "hands on the check-in of another as a hub would", want: "wrong-node",
			make: func(f *fleet, n *node) []string {
				r := n.as().request(checkIns, evilCheckIn(n.name))
				return []string{f.join(n.t, "web-2", channel).as().send(received(r, "web-2"))}
			}},
		{name: "name-taken", holds: "a token", does: "enrols under the name of a node that is there", want: "name-taken",
			make: enrolling(func(f *fleet, n *node) string { return f.vigo(n.t, "token", "create") }, "web-1", "name-taken")},
	}...)
}

// handsOn is what the service says to a hub that brings a request of a node.
func (f *fleet) handsOn(n *node, r *http.Request) string {
	n.t.Helper()
	return f.hub(n).send(received(r, "plant"))
}

// handsOnAll is what the service says to each of several check-ins that a hub brings in one request.
func (f *fleet) handsOnAll(n *node, all ...*http.Request) []string {
	n.t.Helper()
	var lines bytes.Buffer
	for _, r := range all {
		head, err := json.Marshal(map[string]any{"digest": r.Header.Get("Content-Digest"), "input": r.Header.Get("Signature-Input"),
			"signature": r.Header.Get("Signature"), "received": time.Now(), "hub": "plant"})
		body, unread := io.ReadAll(r.Body)
		if err := errors.Join(err, unread); err != nil {
			n.t.Fatal(err)
		}
		fmt.Fprintf(&lines, "%s\n%s\n", head, body)
	}
	r, err := http.NewRequestWithContext(n.t.Context(), http.MethodPost, f.service+"/v1/checkins", &lines)
	if err != nil {
		n.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/jsonl")
	status, answer := f.hub(n).exchange(r, true)
	var codes []string
	for line := range strings.Lines(answer) {
		var said struct {
			Body struct{ Error struct{ Code string } }
		}
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			n.t.Fatal(err)
		}
		codes = append(codes, said.Body.Error.Code)
	}
	if status != http.StatusOK || len(codes) != len(all) {
		n.t.Fatalf("%d check-ins were answered %d %s", len(all), status, answer)
	}
	return codes
}

// hub is a caller with all that a hub has.
func (f *fleet) hub(n *node) *caller {
	n.t.Helper()
	key, err := identity.NewNodeKey()
	if err != nil {
		n.t.Fatal(err)
	}
	answer, err := api.Enrolling{URL: f.service, Token: f.vigo(n.t, "token", "create", "--hub"), Node: "plant", Agent: "0", Hub: true, Key: key, Now: time.Now}.Enroll(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	c := n.as()
	c.key = key
	if c.cert, err = key.Certificate([]byte(answer.Certificate)); err != nil {
		n.t.Fatal(err)
	}
	return c
}

// received says of a request what a hub does: when it came, and which hub it is.
func received(r *http.Request, hub string) *http.Request {
	r.Header.Set("Vigo-Received", time.Now().UTC().Format(time.RFC3339Nano))
	r.Header.Set("Vigo-Hub", hub)
	return r
}

// honest is the check-in that the agent itself would send.
func (n *node) honest() report.CheckIn {
	n.t.Helper()
	d := n.record()
	return report.CheckIn{Node: n.name, Boot: d.Boot, Agent: d.Agent, Bundle: d.Bundle, Pointer: d.Pointer, Run: d.Run, Spooled: d.Spooled}
}

func secretOf(t *testing.T, token string) identity.Secret {
	t.Helper()
	secret, err := identity.ParseSecret(token)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}
