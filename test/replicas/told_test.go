package replicas

import (
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/alert/deliver"
	"vigo.dev/pkg/report"
	"vigo.dev/test/mailbox"
)

// people are who is told of alerts: a real receiver of webhooks that checks signatures and takes each ID once, and a real SMTP
// server that takes all.
type people struct {
	box  *mailbox.Server
	file string // that names them

	mu     sync.Mutex
	key    ed25519.PublicKey
	seen   map[string]bool // IDs of webhooks
	again  int             // webhooks whose ID was seen already
	byHook map[string][]report.Transition
	bad    []error

	mails      int                 // that were read
	ids        map[string]bool     // of mails
	mailsAgain int                 // mails whose ID was seen already; they tell nothing more
	byMail     map[string][]string // kinds
}

func newPeople(t *testing.T) *people {
	t.Helper()
	p := &people{seen: map[string]bool{}, byHook: map[string][]report.Transition{}, ids: map[string]bool{}, byMail: map[string][]string{}}
	web := httptest.NewTLSServer(http.HandlerFunc(p.take))
	t.Cleanup(web.Close)
	dir := t.TempDir()
	ca, password, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "password"), filepath.Join(dir, "alerts.key")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600))
	must(t, os.WriteFile(password, []byte("secret"), 0o600))
	made, err := deliver.New(deliver.Config{}, key, "acme", "test") // which makes the key that the replicas share
	must(t, err)
	p.key, err = deliver.ParsePublic(made.Key)
	must(t, err)
	p.box, err = mailbox.New(web.TLS.Clone())
	must(t, err)
	t.Cleanup(func() { must(t, p.box.Close()) })
	p.file = filepath.Join(dir, "alerts.yaml")
	must(t, os.WriteFile(p.file, fmt.Appendf(nil, `
receivers:
  mail:
    smtp: {server: %q, from: vigo@example.com, to: [ops@example.com], username: vigo, password_file: %q, ca: %q}
    notices: 100
    gather: 1s
  pager:
    webhook: {url: %q, ca: %q}
    notices: 100
    gather: 1s
default: [mail, pager]
signing_key: %q
`, p.box.Address, password, ca, web.URL, ca, key), 0o600))
	return p
}

func (p *people) take(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	id := req.Header.Get("Webhook-Id")
	if err == nil {
		err = deliver.Verify(p.key, id, req.Header.Get("Webhook-Timestamp"), req.Header.Get("Webhook-Signature"), body, time.Now())
	}
	var n report.Notice
	if err == nil {
		err = json.Unmarshal(body, &n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil:
		p.bad = append(p.bad, err)
		w.WriteHeader(http.StatusBadRequest)
	case p.seen[id]:
		p.again++
	default:
		p.seen[id] = true
		for _, t := range n.Transitions {
			p.byHook[t.Group] = append(p.byHook[t.Group], t)
		}
	}
}

// hooks is what webhooks told of a node, in the order it was decided. The caller holds the lock.
func (p *people) hooks(node string) []string {
	list := slices.Clone(p.byHook[node])
	slices.SortFunc(list, func(a, b report.Transition) int { return a.At.Compare(b.At) })
	kinds := []string{}
	for _, t := range list {
		kinds = append(kinds, t.Kind)
	}
	return kinds
}

var inMail = regexp.MustCompile(`(?m)^(?:..:..:..  )?(FIRING|RESOLVED) warning: flap (node-\d+)\r?$`)

// read reads the mail that has come since the last time. The caller holds the lock.
func (p *people) read() {
	mails := p.box.Mails()
	for _, m := range mails[p.mails:] {
		id := m.Header.Get("Message-Id")
		if p.ids[id] {
			p.mailsAgain++
			continue
		}
		p.ids[id] = true
		for _, found := range inMail.FindAllStringSubmatch(m.Body, -1) {
			p.byMail[found[2]] = append(p.byMail[found[2]], strings.ToLower(found[1]))
		}
	}
	p.mails = len(mails)
}

// all counts the nodes that both ways have told so much of.
func (p *people) all(nodes []*sleeper, many int) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read()
	for _, one := range nodes {
		if len(p.byMail[one.name]) >= many && len(p.byHook[one.name]) >= many {
			n++
		}
	}
	return n
}

// over is whether both ways have told of an end of all that they told of.
func (p *people) over(nodes []*sleeper) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read()
	return !slices.ContainsFunc(nodes, func(n *sleeper) bool {
		return len(p.byMail[n.name])%2 == 1 || len(p.byMail[n.name]) != len(p.byHook[n.name])
	})
}
