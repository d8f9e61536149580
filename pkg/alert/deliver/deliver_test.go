package deliver

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"vigo.dev/pkg/report"
	"vigo.dev/test/mailbox"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func notice(findings ...report.Finding) report.Notice {
	return report.Notice{ID: "told_1", Fleet: "acme", At: noon, Transitions: []report.Transition{{ID: "told_1", Alert: "alert_1", Key: "stale/web-1", Kind: "firing",
		Rule: "stale", Group: "web-1", Severity: "critical", About: "Is it up?", At: noon, Since: noon, Count: len(findings), Findings: findings}}}
}

// certificate gives a server on loopback a certificate, and the file that trusts it.
func certificate(t *testing.T, h http.HandlerFunc) (s *httptest.Server, ca string) {
	t.Helper()
	s = httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	return s, ca
}

func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
	return path
}

// post is a mailer, and the real server it hands in at.
func post(t *testing.T, password string) (*mailer, *mailbox.Server) {
	t.Helper()
	web, ca := certificate(t, func(http.ResponseWriter, *http.Request) {})
	box, err := mailbox.New(web.TLS.Clone())
	must(t, err)
	t.Cleanup(func() { must(t, box.Close()) })
	s := SMTP{Server: box.Address, From: "Vigo <vigo@example.com>", To: []string{"ops@example.com", "Zoë <zoe@example.com>"}, Username: "vigo", PasswordFile: secretFile(t, password), CA: ca}
	must(t, s.check())
	m, err := newMailer(s, "acme")
	must(t, err)
	return m, box
}

// TestMail arrives at a real server, over STARTTLS and after a login, and says what is the matter.
func TestMail(t *testing.T) {
	t.Parallel()
	m, box := post(t, "secret")
	must(t, m.Send(t.Context(), notice(report.Finding{Subject: "web-1", Text: "last seen 11:58"})))
	mails := box.Mails()
	if len(mails) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	got := mails[0]
	if got.From != "vigo@example.com" || len(got.To) != 2 || got.Subject != "[acme] FIRING critical: stale web-1" || got.Header.Get("Message-Id") != "<told_1@acme.vigo>" ||
		got.Header.Get("References") != "<alert_1@acme.vigo>" || !strings.Contains(got.Body, "web-1  last seen 11:58\r\n") || !strings.Contains(got.Body, "Is it up?") {
		t.Errorf("got %+v", got)
	}
	digest := notice()
	digest.Digest, digest.Transitions = true, append(digest.Transitions, digest.Transitions[0])
	digest.Transitions[1].Kind = "resolved"
	must(t, m.Send(t.Context(), digest))
	if got := box.Mails()[1].Subject; got != "[acme] 2 more: 1 firing, 1 resolved" {
		t.Errorf("subject %q", got)
	}
}

// TestMailCannotBeForged: what a node says of itself becomes neither a header, nor a recipient, nor a second mail.
func TestMailCannotBeForged(t *testing.T) {
	t.Parallel()
	m, box := post(t, "secret")
	evil := "x\r\nBcc: eve@example.com\r\n\r\nhello\r\n.\r\nMAIL FROM:<eve@example.com>\r\n\x00\u2028=?utf-8?q?=0d=0aBcc:_eve?="
	n := notice(report.Finding{Subject: evil, Text: evil})
	n.ID, n.Fleet = evil, evil
	n.Transitions[0].Group, n.Transitions[0].Rule, n.Transitions[0].Alert, n.Transitions[0].About = evil, evil, evil, evil
	must(t, m.Send(t.Context(), n))
	mails := box.Mails()
	if len(mails) != 1 || len(mails[0].To) != 2 || len(mails[0].Header) != 10 || mails[0].Header.Get("Bcc") != "" || strings.ContainsAny(mails[0].Subject, "\r\n") {
		t.Errorf("got %+v", mails)
	}
}

// TestMailIsRefused: what passes is tried again, what does not is not, and a wrong password may be put right.
func TestMailIsRefused(t *testing.T) {
	t.Parallel()
	m, box := post(t, "secret")
	for code, never := range map[int]bool{451: false, 550: true} {
		box.Answer = func(int) (bool, error) { return false, &smtp.SMTPError{Code: code, Message: "no"} }
		f, ok := errors.AsType[*Failure](m.Send(t.Context(), notice()))
		if !ok || f.Never != never || f.Alone {
			t.Errorf("%d: %+v", code, f)
		}
	}
	wrong, _ := post(t, "guess")
	if f, ok := errors.AsType[*Failure](wrong.Send(t.Context(), notice())); !ok || f.Never || strings.Contains(f.Error(), "guess") {
		t.Errorf("wrong password: %+v", f)
	}
	plain, err := mailbox.New(nil)
	must(t, err)
	defer plain.Close()
	m.Server = plain.Address
	if err := m.Send(t.Context(), notice()); err == nil || !strings.Contains(err.Error(), "offers no STARTTLS") || len(plain.Mails()) > 0 {
		t.Errorf("without TLS: %v", err)
	}
}

// TestWebhookAnswers: each status has its consequence; a redirect is not followed, and the URL, which may be a secret, is in no error.
func TestWebhookAnswers(t *testing.T) {
	t.Parallel()
	status, asked := http.StatusOK, 0
	s, ca := certificate(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Header.Get("Authorization") != "Bearer token" {
			t.Errorf("authorization %q", r.Header.Get("Authorization"))
		}
		w.Header().Set("Location", "/elsewhere")
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(status)
	})
	key, err := openKey(filepath.Join(t.TempDir(), "key"), true)
	must(t, err)
	p, err := newPoster(Webhook{URLFile: secretFile(t, s.URL+"/s3cret"), BearerFile: secretFile(t, "token"), CA: ca}, key, "vigo/test")
	must(t, err)
	must(t, p.Send(t.Context(), notice()))
	for code, want := range map[int]Failure{500: {}, 302: {}, 404: {}, 429: {}, 410: {Never: true}, 422: {Alone: true}} {
		status = code
		f, ok := errors.AsType[*Failure](p.Send(t.Context(), notice()))
		if !ok || f.Never != want.Never || f.Alone != want.Alone || f.After != 2*time.Minute || strings.Contains(f.Error(), "s3cret") {
			t.Errorf("%d: %+v", code, f)
		}
	}
	if asked != 7 {
		t.Errorf("asked %d times", asked)
	}
	s.Close()
	if err := p.Send(t.Context(), notice()); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("unreachable: %v", err)
	}
}

// TestSignature: a body, an ID or a time that was changed, and one of long ago, are not believed.
func TestSignature(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	key, err := openKey(path, true)
	must(t, err)
	again, err := openKey(path, false)
	must(t, err)
	public, err := ParsePublic(PublicText(again))
	must(t, err)
	body := []byte(`{"a":1}`)
	sig := sign(key, "told_1", noon, body)
	must(t, Verify(public, "told_1", "1795608000", "v1,xxx "+sig, body, noon.Add(time.Minute)))
	for what, err := range map[string]error{
		"body": Verify(public, "told_1", "1795608000", sig, []byte(`{"a":2}`), noon), "id": Verify(public, "told_2", "1795608000", sig, body, noon),
		"time": Verify(public, "told_1", "1795608001", sig, body, noon), "old": Verify(public, "told_1", "1795608000", sig, body, noon.Add(time.Hour)),
		"no time": Verify(public, "told_1", "x", sig, body, noon), "none": Verify(public, "told_1", "1795608000", "", body, noon),
	} {
		if err == nil {
			t.Errorf("another %s is believed", what)
		}
	}
	must(t, os.Chmod(path, 0o644))
	if _, err := openKey(path, false); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: %v", err)
	}
}

// TestNext: a second, doubled up to an hour, for a day; a receiver that asks for more time gets it.
func TestNext(t *testing.T) {
	t.Parallel()
	for tries, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 12: 2048 * time.Second, 13: time.Hour, 1000: time.Hour} {
		if at, ok := Next(noon, noon, tries, errors.New("no")); !ok || at.Sub(noon) != want {
			t.Errorf("after %d tries: %s", tries, at.Sub(noon))
		}
	}
	if at, ok := Next(noon, noon, 1, &Failure{After: time.Minute}); !ok || at.Sub(noon) != time.Minute {
		t.Errorf("asked for a minute: %s", at.Sub(noon))
	}
	if _, ok := Next(noon, noon.Add(24*time.Hour), 50, errors.New("no")); ok {
		t.Error("it is tried after a day")
	}
	if _, ok := Next(noon, noon, 1, &Failure{Never: true}); ok {
		t.Error("it is tried although nobody wants it")
	}
}

// TestConfigMistakes are told with their place, all at once, and without secrets.
func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"receivers: {a: {smpt: {}}}":                                                                                "smpt",
		"receivers: {a: {}}":                                                                                        "either smtp or webhook",
		"receivers: {A: {webhook: {url: \"https://a\"}}}":                                                           "not a name",
		"receivers: {a: {webhook: {url: \"http://a/s3cret\"}}}":                                                     "without TLS",
		"receivers: {a: {webhook: {url: \"a b://s3cret\"}}}":                                                        "cannot be used",
		"receivers: {a: {smtp: {server: mail, from: a@b, to: [a@b]}}}":                                              "host:port",
		"receivers: {a: {smtp: {server: \"m:1\", from: \"a@b\\r\\nX: y\", to: [a@b]}}}":                             "not an address",
		"receivers: {a: {smtp: {server: \"m:1\", from: a@b, to: [a@b], username: u}}}":                              "belong together",
		"receivers: {a: {smtp: {server: \"m:1\", from: a@b, to: [a@b], tls: none, username: u, password_file: p}}}": "without TLS",
		"receivers: {ops: {webhook: {url: \"https://a\"}}}\ndefault: [opps]":                                        `no receiver "opps"`,
		"heartbeat: {url: \"https://a\", every: 1ms}":                                                               "less than 1s",
	} {
		_, err := ReadConfig(secretFile(t, text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
