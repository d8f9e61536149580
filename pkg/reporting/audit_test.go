package reporting

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// auditOf reads the log as an operator does, over the network.
func auditOf(t *testing.T, c *api.OperatorClient) audit.Log {
	t.Helper()
	log, err := c.WholeAudit(t.Context())
	must(t, err)
	return log
}

func (r *rig) check(purpose string, data, seal []byte) error {
	return identity.CheckSeal(r.ca.CertPEM(), purpose, data, seal)
}

func (r *rig) operator(t *testing.T, url, name string, role identity.Role) *api.OperatorClient {
	t.Helper()
	token, err := r.AddOperator(t.Context(), api.Operator{Name: name, Role: role})
	must(t, err)
	c, err := api.NewOperatorClient(url, token, time.Now)
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

func lines(entries []audit.Entry) []string {
	var list []string
	for _, e := range entries {
		list = append(list, strings.TrimSpace(e.Actor+" "+e.Act+" "+e.Object))
	}
	return list
}

// What people and nodes do over the network is recorded with who did it and from where; no secret is.
func TestAuditOverTheNetwork(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url := r.listen(t).URL
	jane := r.operator(t, url, "jane", identity.RoleAdmin)
	answer, err := jane.CreateToken(t.Context(), api.TokenRequest{Uses: 2, Note: "rack 4"})
	must(t, err)
	key, err := identity.NewNodeKey()
	must(t, err)
	agent, _, err := r.agent(t, url, "web-1", key)
	must(t, err)
	_, err = agent.Renew(t.Context())
	must(t, err)
	_, err = agent.CheckIn(t.Context(), report.CheckIn{Node: "web-1", Root: 1})
	must(t, err)
	_, err = agent.CheckIn(t.Context(), report.CheckIn{Node: "web-1", Root: 2})
	must(t, err)
	must(t, jane.PutChannels(t.Context(), []report.ChannelNote{note()}))
	joe, err := jane.AddOperator(t.Context(), api.Operator{Name: "joe", Role: identity.RoleViewer})
	must(t, err)
	must(t, jane.RevokeToken(t.Context(), answer.Grant.ID))
	must(t, jane.Retire(t.Context(), "web-1"))
	must(t, jane.RemoveOperator(t.Context(), "joe"))
	r.tendAudit(t.Context(), false)
	log := auditOf(t, jane)
	if problems := log.Verify(r.check); len(problems) > 0 {
		t.Errorf("%v", problems)
	}
	token := log.Entries[3].Object // of web-1, made by the service itself
	want := []string{"service trust.root acme", "service operator.added jane", "jane token.created " + answer.Grant.ID, "service token.created " + token,
		"web-1 node.enrolled web-1", "web-1 node.renewed web-1", "jane channel.published stable", "jane operator.added joe",
		"jane token.revoked " + answer.Grant.ID, "jane node.retired web-1", "jane operator.removed joe", "web-1 trust.root web-1"}
	if got := lines(log.Entries); !slices.Equal(got, want) {
		t.Errorf("got %q,\nwant %q", got, want)
	}
	if e := log.Entries[4]; e.Address != "127.0.0.1" || e.Role != "node" || e.Detail["token"] != token || e.Detail["key"] != identity.KeyID(key.Public()) {
		t.Errorf("%+v", e)
	}
	text, err := json.Marshal(log)
	must(t, err)
	for _, secret := range []string{answer.Token, joe} {
		if parts := strings.Split(secret, "."); bytes.Contains(text, []byte(parts[1])) {
			t.Errorf("the secret of %s is in the log", parts[0])
		}
	}
}

// Who is refused is recorded: the first time at once, further times as a number, and however many senders there are, the log
// does not grow with them.
func TestRefusalsAreRecorded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url := r.listen(t).URL
	r.set(noon)
	viewer := r.operator(t, url, "joe", identity.RoleViewer)
	for range 3 {
		_, err := viewer.CreateToken(t.Context(), api.TokenRequest{})
		refusedAs(t, "a viewer", err, api.ErrForbidden)
	}
	secret, err := identity.NewSecret(r.ca.Fingerprint(), true)
	must(t, err)
	stranger, err := api.NewOperatorClient(url, secret.Text(), time.Now)
	must(t, err)
	defer stranger.Close()
	_, err = stranger.Status(t.Context(), 1)
	refusedAs(t, "a token of nobody", err, api.ErrUnauthorized)
	_, err = viewer.Node(t.Context(), "nonesuch")
	refusedAs(t, "a node that is not there", err, api.ErrNotFound) // that is no matter of access
	r.tendAudit(t.Context(), false)
	refused := func() []audit.Entry {
		list, err := r.DB.Audit(t.Context(), audit.Query{Act: audit.Refused})
		must(t, err)
		return list
	}
	if got := lines(refused()); !slices.Equal(got, []string{"joe access.refused POST /v1/tokens", "unknown access.refused GET /v1/status"}) {
		t.Errorf("%q", got)
	}
	r.pass(time.Minute)
	r.tendAudit(t.Context(), false)
	got := refused()
	if len(got) != 3 || got[2].Detail["again"] != "2 times in the minute of 12:00" || got[2].Detail["code"] != "forbidden" || got[0].Address != "127.0.0.1" {
		t.Errorf("%+v", got)
	}
	for i := range 10_000 {
		r.Refused(audit.Caller{Address: strings.Repeat("1", i%500)}, "POST /v1/checkin", "signature", "")
	}
	r.pass(time.Minute)
	r.tendAudit(t.Context(), false)
	if n := len(refused()); n != 3+2*maxRefused+1 {
		t.Errorf("%d entries", n)
	}
}

// A store that cannot be written does not lose refusals, and does not gather them without end.
func TestRefusalsWait(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 3 * maxWaiting {
		if i%maxRefused == 0 {
			r.pass(time.Minute)
		}
		r.Refused(audit.Caller{Name: fmt.Sprint("n", i)}, "x", "signature", "")
		r.auditor.refusals.giveBack(r.auditor.refusals.take(r.Now()))
	}
	if n := len(r.auditor.refusals.waiting); n != maxWaiting || r.auditor.refusals.waiting[0].Actor != "n0" {
		t.Errorf("%d wait", n)
	}
	must(t, r.DB.Close())
	r.tendAudit(t.Context(), false)
	if n := len(r.auditor.refusals.waiting); n != maxWaiting {
		t.Errorf("%d wait after a failure", n)
	}
	r.start(t)
}

// alter edits the store behind the back of the service.
func (r *rig) alter(t *testing.T, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", r.path)
	must(t, err)
	_, err = db.ExecContext(t.Context(), query)
	must(t, err)
	must(t, db.Close())
}

// A log that was cut while the service was down is told of at its start, and it goes on; what was signed before shows it for
// ever, even when the checkpoints in the store were cut, too.
func TestCutWhileDown(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]string{
		"cut with its checkpoints": "DELETE FROM audit WHERE seq > 2; DELETE FROM audit_checkpoint",
		"cut":                      "DELETE FROM audit WHERE seq > 2",
		"rewritten":                "UPDATE audit SET hash = 'x' WHERE seq = (SELECT max(seq) FROM audit); DELETE FROM audit_checkpoint",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			var said bytes.Buffer
			anchor := filepath.Join(t.TempDir(), "audit.checkpoint")
			r.Anchor, r.Log = anchor, slog.New(slog.NewTextHandler(&said, nil))
			for _, who := range []string{"a", "b", "c"} {
				_, err := r.AddOperator(t.Context(), api.Operator{Name: who, Role: identity.RoleViewer})
				must(t, err)
			}
			r.tendAudit(t.Context(), true)
			kept, err := readAnchor(anchor)
			must(t, err)
			conf := r.Config
			if kept == nil || kept.Seq != 4 || !strings.Contains(said.String(), kept.Hash) {
				t.Fatalf("%+v\n%s", kept, said.String())
			}
			must(t, r.DB.Close())
			r.alter(t, edit)
			conf.DB, err = sqlstore.Open(t.Context(), r.path, sqlstore.Options{})
			must(t, err)
			r.Service, err = New(t.Context(), conf)
			must(t, err)
			if !strings.Contains(said.String(), "level=ERROR") {
				t.Errorf("nothing was said: %s", said.String())
			}
			page, err := r.Audit(t.Context(), audit.Query{Act: audit.Broken})
			must(t, err)
			if len(page.Entries) != 1 || page.Entries[0].Detail["hash"] != kept.Hash {
				t.Errorf("%+v", page.Entries)
			}
			page, err = r.Audit(t.Context(), audit.Query{})
			must(t, err)
			log := audit.Log{Fleet: page.Fleet, Entries: page.Entries, Checkpoints: page.Checkpoints}
			if problems := log.Verify(r.check, *kept); len(problems) == 0 {
				t.Error("a checkpoint that was kept does not show it")
			}
			if _, err := os.Stat(anchor + ".broken"); err != nil {
				t.Errorf("the evidence is gone: %v", err)
			}
		})
	}
}

// Old entries go, and the log says so under the signature of the authority.
func TestAuditRetention(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, who := range []string{"a", "b", "c"} {
		_, err := r.AddOperator(t.Context(), api.Operator{Name: who, Role: identity.RoleViewer})
		must(t, err)
		r.tendAudit(t.Context(), true)
		r.pass(24 * time.Hour)
	}
	r.prune(t.Context()) // for ever is the default
	page, err := r.Audit(t.Context(), audit.Query{})
	must(t, err)
	if page.Start != nil || len(page.Entries) != 4 {
		t.Errorf("%+v", page)
	}
	kept := page.Checkpoints
	r.Keep.Audit.Age = 36 * time.Hour
	r.prune(t.Context())
	page, err = r.Audit(t.Context(), audit.Query{})
	must(t, err)
	if page.Start == nil || page.Start.Seq != 3 || !slices.Equal(lines(page.Entries), []string{"service operator.added c", "service audit.pruned entries up to 3"}) {
		t.Errorf("%+v", page)
	}
	log := audit.Log{Fleet: page.Fleet, Start: page.Start, Entries: page.Entries, Checkpoints: page.Checkpoints}
	if problems := log.Verify(r.check, kept...); len(problems) > 0 {
		t.Errorf("%v", problems)
	}
}

// The service knows another trust root when it sees one, also over a restart, and says it once.
func TestTrustRootIsRecorded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.restart(t, 0)
	conf := r.Config
	conf.TrustRoot = []byte("another")
	var err error
	r.Service, err = New(t.Context(), conf)
	must(t, err)
	list, err := r.DB.Audit(t.Context(), audit.Query{Act: audit.TrustRoot})
	must(t, err)
	if len(list) != 2 || list[1].Detail["before"] != list[0].Detail["digest"] {
		t.Errorf("%+v", list)
	}
}
