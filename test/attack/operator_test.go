package attack

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
)

// An operatorOf has the client certificate of an operator: key and certificate are files beside the configuration.
type operatorOf struct {
	id  string
	key identity.NodeKey
	pem []byte
}

// certified has an admin make a certificate of an operator.
func (f *fleet) certified(t *testing.T, name string) operatorOf {
	t.Helper()
	stem := filepath.Join(t.TempDir(), name)
	said := strings.Fields(f.vigo(t, "operator", "certificate", "create", name, "--role", "admin", "--out", stem+".json"))
	o := operatorOf{id: said[1]}
	data, err := os.ReadFile(stem + ".key")
	if err == nil {
		o.key, err = identity.ParseNodeKey(data)
	}
	if err == nil {
		o.pem, err = os.ReadFile(stem + ".crt")
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// asOperator is a caller with a certificate and a key.
func (n *node) asOperator(key identity.NodeKey, chain []byte) *caller {
	n.t.Helper()
	c := n.as()
	var err error
	if c.cert, err = key.Certificate(chain); err != nil {
		n.t.Fatal(err)
	}
	return c
}

// reads asks who the operators are: what only an admin may.
func (c *caller) reads() *http.Request {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.service+"/v1/operators", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

func operatorAttacks() []requestAttack {
	return []requestAttack{
		{name: "operator-certificate-without-key", holds: "the certificate of an admin, without its key", does: "shows it", want: badTLS,
			make: func(f *fleet, n *node) []string {
				o := f.certified(n.t, "ann")
				c := n.asOperator(o.key, o.pem)
				c.cert = tls.Certificate{Certificate: c.cert.Certificate, PrivateKey: newNodeKey(c).Signer()}
				return []string{c.send(c.reads())}
			}},
		{name: "operator-certificate-revoked", holds: "the certificate of an admin that was revoked, and its key", does: "asks who the operators are", want: "revoked",
			make: func(f *fleet, n *node) []string {
				o := f.certified(n.t, "ann")
				c := n.asOperator(o.key, o.pem)
				if code := c.send(c.reads()); code != "" {
					n.t.Fatalf("it was refused before it was revoked: %s", code)
				}
				f.vigo(n.t, "operator", "certificate", "revoke", o.id)
				return []string{c.send(c.reads())}
			}},
		{name: "operator-certificate-invented", holds: "the key of the authority", does: "makes itself a certificate of an admin", want: "revoked",
			make: func(f *fleet, n *node) []string {
				key := newNodeKey(n.as())
				c := n.asOperator(key, f.forged(n.t, key, identity.Client{Role: identity.RoleAdmin, Name: "admin"}))
				return []string{c.send(c.reads())}
			}},
		{name: "node-as-operator", holds: "a node", does: "asks who the operators are, with its certificate", want: "wrong-node",
			make: func(_ *fleet, n *node) []string { c := n.as(); return []string{c.send(c.reads())} }},
		{name: "operator-as-node", holds: "the certificate of an operator, and the key of a node", does: "checks in", want: "wrong-node",
			make: func(f *fleet, n *node) []string {
				o := f.certified(n.t, n.name)
				c := n.asOperator(o.key, o.pem)
				return []string{c.send(c.request(checkIns, evilCheckIn(n.name)))}
			}},
	}
}

// asking is an attack of one request of an operator who has a role, and may do less.
func asking(role, method, path, body string) func(f *fleet, n *node) []string {
	return func(f *fleet, n *node) []string {
		file := filepath.Join(n.t.TempDir(), role+".json")
		f.vigo(n.t, "operator", "create", "mallory", "--role", role, "--out", file)
		var conf struct{ Token string }
		data, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(data, &conf)
		}
		if err != nil {
			n.t.Fatal(err)
		}
		c := n.as()
		r, err := http.NewRequestWithContext(n.t.Context(), method, c.service+path, strings.NewReader(body))
		if err != nil {
			n.t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+conf.Token)
		return []string{c.sendAs(r, false)}
	}
}

func roleAttacks() []requestAttack {
	return []requestAttack{
		{name: "viewer-retires", holds: "the token of a viewer", does: "retires a node", want: forbidden, make: asking("viewer", "DELETE", "/v1/nodes/web-1", "")},
		{name: "viewer-makes-tokens", holds: "the token of a viewer", does: "makes a token for nodes", want: forbidden, make: asking("viewer", "POST", "/v1/tokens", "{}")},
		{name: "viewer-mutes", holds: "the token of a viewer", does: "mutes all alerts", want: forbidden, make: asking("viewer", "POST", "/v1/mutes", `{"rule":"*","reason":"x","until":"2999-01-01T00:00:00Z"}`)},
		{name: "viewer-reads-audit", holds: "the token of a viewer", does: "reads the audit log", want: forbidden, make: asking("viewer", "GET", "/v1/audit", "")},
		{name: "operator-makes-operators", holds: "the token of an operator", does: "makes itself an admin", want: forbidden, make: asking("operator", "PUT", "/v1/operators/mallory", `{"role":"admin"}`)},
		{name: "operator-publishes", holds: "the token of an operator", does: "says what a channel publishes", want: forbidden,
			make: asking("operator", "PUT", "/v1/channels", `{"channels":[{"channel":"stable","pointer":"1.999"}]}`)},
		{name: "publisher-reads", holds: "the token of a controller", does: "lists the nodes", want: forbidden, make: asking("publisher", "GET", "/v1/nodes", "")},
		{name: "publisher-retires", holds: "the token of a controller", does: "retires a node", want: forbidden, make: asking("publisher", "DELETE", "/v1/nodes/web-1", "")},
	}
}

// forbidden is what somebody without the role is told; it is in the audit log only.
const forbidden = "forbidden"

// forged is what somebody signs with the key of the authority, which the service has in its data folder.
func (f *fleet) forged(t *testing.T, key identity.NodeKey, who identity.Client) []byte {
	t.Helper()
	ca, err := identity.OpenCA(filepath.Join(f.reports, "ca"), fleetName, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	csr, err := key.CSR(who.Name)
	if err != nil {
		t.Fatal(err)
	}
	chain, _, err := ca.IssueClient(csr, who, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return chain
}
