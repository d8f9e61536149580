package attack

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/test/programs"
)

const checkIns = "/v1/checkin"

// A caller is who sends requests as a node: with its certificate and key, or with others.
type caller struct {
	t       *testing.T
	service string
	node    string
	key     identity.NodeKey
	cert    tls.Certificate
	roots   *x509.CertPool
	counter int64
}

// as is a caller with all that a node has.
func (n *node) as() *caller {
	n.t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(n.host, "var/lib/vigo-agent", name))
		if err != nil {
			n.t.Fatal(err)
		}
		return data
	}
	c := &caller{t: n.t, service: n.service, node: n.name, roots: x509.NewCertPool(), counter: time.Now().Add(time.Hour).UnixMilli()}
	var err error
	if c.key, err = identity.ParseNodeKey(read("node.key")); err != nil {
		n.t.Fatal(err)
	}
	if c.cert, err = c.key.Certificate(read("node.crt")); err != nil {
		n.t.Fatal(err)
	}
	c.roots.AppendCertsFromPEM(read("ca.crt"))
	return c
}

// request is a signed one. The counter rises; a hook may change it before it is sent.
func (c *caller) request(path string, body any) *http.Request {
	c.t.Helper()
	return c.signed(path, body, time.Now())
}

func (c *caller) signed(path string, body any, at time.Time) *http.Request {
	c.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.service+path, bytes.NewReader(data))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	c.counter++
	if err := identity.Sign(r, data, c.key.Signer(), identity.Stamp{KeyID: c.node, Counter: c.counter, Created: at}); err != nil {
		c.t.Fatal(err)
	}
	return r
}

// send sends a request and returns the code of the refusal, "" when it was accepted, or badTLS.
func (c *caller) send(r *http.Request) string {
	c.t.Helper()
	return c.sendAs(r, true)
}

// sendAs sends a request with the certificate of the node, or without.
func (c *caller) sendAs(r *http.Request, certified bool) string {
	c.t.Helper()
	status, data := c.exchange(r, certified)
	switch status {
	case 0:
		return badTLS
	case http.StatusOK:
		return ""
	}
	var said struct{ Error struct{ Code string } }
	if err := json.Unmarshal([]byte(data), &said); err != nil {
		c.t.Fatalf("%d: %v", status, err)
	}
	return said.Error.Code
}

// exchange sends a request and returns the answer; 0 when the connection was refused.
func (c *caller) exchange(r *http.Request, certified bool) (status int, said string) {
	c.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: c.roots, ServerName: identity.ServerName,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if !certified {
					return new(tls.Certificate), nil
				}
				return &c.cert, nil
			}}}}
	answer, err := client.Do(r)
	if err != nil {
		if strings.Contains(err.Error(), "tls: ") {
			return 0, ""
		}
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer.StatusCode, string(data)
}

// badTLS is that the connection was refused.
const badTLS = "certificate"

// body replaces the body of a signed request.
func body(r *http.Request, data string) *http.Request {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(data)), int64(len(data))
	return r
}

// evilCheckIn says that a node is well, and runs something else.
func evilCheckIn(node string) report.CheckIn {
	return report.CheckIn{Node: node, Bundle: "sha256:" + strings.Repeat("e", 64), Pointer: "1.999"}
}

// copyOf is a request that can be sent once more.
func copyOf(c *caller, r *http.Request) (first, second *http.Request) {
	c.t.Helper()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	again := r.Clone(r.Context())
	return body(r, string(data)), body(again, string(data))
}

// A requestAttack is made against the report service, on a node that is enrolled. It returns the codes of what was refused.
type requestAttack struct {
	name, holds, does, want string
	make                    func(f *fleet, n *node) []string
}

func TestRequests(t *testing.T) {
	t.Parallel()
	for _, a := range requestAttacks() {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 1) // of its own: it is told by address as well, and all come from one
			n := f.join(t, "web-1", channel)
			before := n.record()
			codes := a.make(f, n)
			if len(codes) == 0 || slices.ContainsFunc(codes, func(code string) bool { return code != a.want }) {
				t.Errorf("it was answered %q, want %q", codes, a.want)
			}
			if diff := cmp.Diff(before, n.record()); diff != "" {
				t.Errorf("what the service knows of the node was changed:\n%s", diff)
			}
			f.wantTurnedAway(t, a.want)
		})
	}
}

// record is what the service keeps of a node, without what passes by itself and what was asked for on purpose.
func (n *node) record() report.NodeDetail {
	n.t.Helper()
	var d report.NodeDetail
	if err := json.Unmarshal([]byte(n.vigo(n.t, "node", n.name, "-o", "json")), &d); err != nil {
		n.t.Fatal(err)
	}
	d.Seen, d.Presence, d.PointerAge, d.Events = time.Time{}, "", 0, nil
	return d
}

// wantTurnedAway fails unless a refused request is told under its name in `vigo status` and as an event, and nothing else.
func (f *fleet) wantTurnedAway(t *testing.T, code string) {
	t.Helper()
	if code == forbidden {
		f.wantAudited(t, code)
		return
	}
	var told []string
	for _, p := range f.status(t).Problems {
		if p.Kind == "request" {
			told = append(told, p.Text)
		}
	}
	if len(told) != 1 || !strings.HasPrefix(told[0], code+": ") {
		t.Errorf("vigo status tells %q, want %q", told, code)
	}
	deadline := time.Now().Add(programs.Patience)
	for { // events of requests are written each second
		events := f.events(t, "request.refused")
		if len(events) == 1 && strings.HasPrefix(events[0].Text, code+": ") {
			return
		}
		if len(events) > 1 || time.Now().After(deadline) {
			t.Errorf("the events are %+v, want one of %q", events, code)
			return
		}
	}
}

// wantAudited fails unless the audit log has a refusal; it is written a moment later.
func (f *fleet) wantAudited(t *testing.T, code string) {
	t.Helper()
	for deadline := time.Now().Add(programs.Patience); ; {
		var log []audit.Entry
		if err := json.Unmarshal([]byte(f.vigo(t, "audit", "log", "--act", audit.Refused, "-o", "json")), &log); err != nil {
			t.Fatal(err)
		}
		if len(log) == 1 && log[0].Actor == "mallory" && log[0].Detail["code"] == code {
			return
		}
		if len(log) > 1 || time.Now().After(deadline) {
			t.Errorf("the audit log has %+v", log)
			return
		}
	}
}

// enrolAs tries to enrol under a name with a new key, and returns the error.
func (f *fleet) enrolAs(t *testing.T, token, name string) error {
	t.Helper()
	out, err := programs.Command(t, []string{"VIGO_TOKEN=" + token}, "vigo-agent", "enroll", "--server", f.service, "--root", t.TempDir(), "--node", name).CombinedOutput()
	if err == nil {
		return nil
	}
	return errors.New(strings.TrimSpace(string(out)))
}
