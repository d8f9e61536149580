package reporting

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"vigo.dev/pkg/alert/deliver"
	"vigo.dev/pkg/report"
	"vigo.dev/test/mailbox"
)

const (
	flapping = 1000
	rounds   = 4
	leave    = 40 * time.Second
)

// expected is what people are to be told of one node, found out by looking at it each second and in no other way.
type expected struct {
	told  []string
	quiet time.Time // not stale since
}

func (e *expected) look(stale bool, now time.Time) {
	firing := len(e.told) > 0 && e.told[len(e.told)-1] == "firing"
	switch {
	case stale && !firing:
		e.told = append(e.told, "firing")
	case !firing:
	case stale:
		e.quiet = time.Time{}
	case e.quiet.IsZero():
		e.quiet = now
	case now.Sub(e.quiet) >= leave:
		e.told, e.quiet = append(e.told, "resolved"), time.Time{}
	}
}

// TestFlapping: of 1,000 nodes that fall silent and come back, each at times of its own, a real SMTP server and a real receiver of
// webhooks get each transition exactly once and none is left out: although both now and then take something and say they did not,
// refuse something, or break the connection, and although the service is restarted in the middle of it. With either database.
func TestFlapping(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); flaps(t, "") })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); flaps(t, one.Database(t)) })
}

// flaps has the nodes of a service flap, with the store at an address; "": a file of its own.
func flaps(t *testing.T, store string) {
	t.Helper()
	r, h := hooked(t, nil)
	r.path = cmp.Or(store, r.path)
	box := mailed(t, r, h)
	must(t, r.PutAlertRules(t.Context(), []report.AlertRule{{Name: "flap", Event: report.EventStale, Severity: "warning", Leave: leave}}))
	cut := 0
	h.refuse = func(n int) int {
		switch {
		case n%7 == 3:
			return http.StatusServiceUnavailable
		case n%11 == 5:
			cut++
			return taken
		}
		return 0
	}
	box.Answer = func(n int) (bool, error) {
		if n%5 == 2 {
			return false, &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try later"}
		}
		return true, nil
	}
	nodes := make([]*expected, flapping)
	for i := range nodes {
		nodes[i] = &expected{}
		r.join(t, name(i))
	}
	for round := range rounds + 1 { // in the last one nobody is silent
		for second := range 300 {
			for i := range nodes {
				if second%30 == i%30 && (round == rounds || !silentIn(i, round, second)) {
					r.checkIn(t, report.CheckIn{Node: name(i)})
				}
			}
			r.alerts.next = time.Time{}
			r.alertUntil(t, r.Now().Add(time.Second))
			stale, err := r.Nodes(t.Context(), report.Query{Presence: report.Stale})
			must(t, err)
			at := map[string]bool{}
			for _, n := range stale {
				at[n.Name] = true
			}
			for i, e := range nodes {
				e.look(at[name(i)], r.Now())
			}
			if round == 2 && second == 150 {
				r.restart(t, 0)
			}
		}
	}
	for range 60 { // what was refused last is tried again
		r.pass(2 * time.Minute)
		for receiver := range r.tell.Senders {
			r.tellDue(t.Context(), receiver, map[string]bool{})
		}
		must(t, r.DB.Ping(t.Context()))
	}
	compare(t, r, nodes, h, box)
	if cut == 0 || len(h.bad) > 0 {
		t.Errorf("%d notices were sent again, %q", cut, h.bad)
	}
}

func name(i int) string { return fmt.Sprintf("node-%03d", i) }

// silentIn is whether a node is silent at a moment: for a while of its own in most rounds, long enough to be stale or not.
func silentIn(i, round, second int) bool {
	f := fnv.New32a()
	fmt.Fprint(f, i, round)
	x := int(f.Sum32())
	from, long := x%100, x/100%200
	return x%5 != 0 && second >= from && second < from+long
}

// mailed gives a rig a second receiver "mail", beside the pager.
func mailed(t *testing.T, r *rig, h *pager) *mailbox.Server {
	t.Helper()
	box, err := mailbox.New(h.TLS.Clone())
	must(t, err)
	t.Cleanup(func() { must(t, box.Close()) })
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	must(t, os.WriteFile(password, []byte("secret"), 0o600))
	file := filepath.Join(dir, "alerts.yaml")
	must(t, os.WriteFile(file, fmt.Appendf(nil, `
receivers:
  mail:
    smtp: {server: %q, from: vigo@example.com, to: [ops@example.com], username: vigo, password_file: %q, ca: %q}
  pager:
    webhook: {url: %q, ca: %q}
default: [mail, pager]
signing_key: %q
`, box.Address, password, h.ca, h.URL, h.ca, h.keyFile), 0o600))
	conf, err := deliver.ReadConfig(file)
	must(t, err)
	r.tell, err = deliver.New(conf, "", "acme", "test")
	must(t, err)
	must(t, r.DB.Close())
	r.start(t)
	return box
}

// compare checks what arrived against what was expected, node by node.
func compare(t *testing.T, r *rig, nodes []*expected, h *pager, box *mailbox.Server) {
	t.Helper()
	byHook, byMail := map[string][]report.Transition{}, map[string][]string{}
	seen := map[string]bool{}
	again := 0
	for _, tr := range h.taken {
		if seen[tr.ID] { // the receiver knows it by its ID
			again++
			continue
		}
		seen[tr.ID] = true
		byHook[tr.Group] = append(byHook[tr.Group], tr)
	}
	line := regexp.MustCompile(`(?m)(FIRING|RESOLVED) warning: flap (node-\d+)`)
	ids := map[string]bool{}
	for _, m := range box.Mails() {
		if ids[m.Header.Get("Message-Id")] {
			t.Errorf("mail %s came twice", m.Header.Get("Message-Id"))
		}
		ids[m.Header.Get("Message-Id")] = true
		for _, found := range line.FindAllStringSubmatch(m.Body, -1) {
			byMail[found[2]] = append(byMail[found[2]], strings.ToLower(found[1]))
		}
	}
	all, wrong := 0, []error{}
	for i, e := range nodes {
		all += len(e.told)
		hook := byHook[name(i)]
		slices.SortFunc(hook, func(a, b report.Transition) int { return a.At.Compare(b.At) })
		kinds := []string{}
		for _, tr := range hook {
			kinds = append(kinds, tr.Kind)
		}
		if !slices.Equal(kinds, e.told) || !slices.Equal(byMail[name(i)], e.told) {
			wrong = append(wrong, fmt.Errorf("%s: webhooks %q, mail %q, want %q", name(i), kinds, byMail[name(i)], e.told))
		}
	}
	if len(wrong) > 0 {
		t.Errorf("%d nodes differ: %v", len(wrong), errors.Join(wrong[:min(len(wrong), 10)]...))
	}
	waiting, err := r.DB.OutboxCounts(t.Context())
	must(t, err)
	if all < flapping || len(waiting) > 0 {
		t.Errorf("%d transitions were expected, %v were not delivered", all, waiting)
	}
	t.Logf("%d transitions of %d nodes in %d webhooks and %d mails; %d came again with their ID", all, flapping, len(h.notices), len(ids), again)
}
