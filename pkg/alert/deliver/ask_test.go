package deliver

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAsk: a webhook that is asked answers with a verdict, or it was not asked.
func TestAsk(t *testing.T) {
	t.Parallel()
	var header http.Header
	var body []byte
	answer := func(w http.ResponseWriter) {
		_, _ = io.WriteString(w, `{"verdict":"wait","reason":"not\nyet","after":90,"more":1}`)
	}
	web, ca := certificate(t, func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
		answer(w)
	})
	d, err := New(Config{Receivers: map[string]Receiver{
		"slo":  {Webhook: &Webhook{URL: web.URL + "/s3cret", CA: ca}},
		"mail": {SMTP: &SMTP{Server: "127.0.0.1:1", From: "a@example.com", To: []string{"b@example.com"}, TLS: "none"}},
	}}, filepath.Join(t.TempDir(), "key"), "acme", "test")
	must(t, err)
	got, err := d.Ask(t.Context(), "slo", "gate_1", map[string]string{"stage": "canary"})
	if err != nil || got != (Reply{Verdict: "wait", Reason: "not yet", After: 90 * time.Second}) {
		t.Fatalf("%+v, %v", got, err)
	}
	key, err := ParsePublic(d.Key)
	must(t, err)
	if err := Verify(key, header.Get("Webhook-Id"), header.Get("Webhook-Timestamp"), header.Get("Webhook-Signature"), body, time.Now()); err != nil || string(body) != `{"stage":"canary"}` {
		t.Errorf("it was asked %s: %v", body, err)
	}
	for want, how := range map[string]func(w http.ResponseWriter){
		"answers 500": func(w http.ResponseWriter) { w.WriteHeader(500); _, _ = io.WriteString(w, `{"verdict":"accept"}`) },
		"answers 302": func(w http.ResponseWriter) { w.Header().Set("Location", "/"); w.WriteHeader(302) },
		"no verdict":  func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"verdict":""}`) },
		"not the JSON document": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `<html>accept</html>`)
		},
		"more than": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"verdict":"accept","reason":"`+strings.Repeat("x", 20000)+`"}`)
		},
		"unexpected": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"verdict":"accept"}`)
		},
	} {
		answer = how
		got, err := d.Ask(t.Context(), "slo", "gate_1", nil)
		if err == nil || !strings.Contains(err.Error(), want) || got.Verdict != "" || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %+v, %v", want, got, err)
		}
	}
	for name, want := range map[string]string{"mail": "only webhooks", "sol": `no webhook "sol"`} {
		if _, err := d.Ask(t.Context(), name, "gate_1", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParseReply feeds anything to the reader of answers.
func FuzzParseReply(f *testing.F) {
	f.Add([]byte(`{"verdict":"accept","reason":"a\u2028b","after":1e300}`))
	f.Add([]byte(`{"verdict":"x","after":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseReply(data)
		if err != nil && r != (Reply{}) {
			t.Errorf("%+v beside %v", r, err)
		}
		if err == nil && (r.Verdict == "" || len(r.Reason) > maxReason || r.After < 0 || r.After > longest || strings.ContainsAny(r.Reason, "\n\r\x00")) {
			t.Errorf("%+v", r)
		}
	})
}
