package dashboard

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
)

// FuzzPages throws requests of somebody who is logged in, and of nobody, at every page: none panics or fails, nothing of what was asked
// for comes back as an element, and nobody who is not logged in sees a page.
func FuzzPages(f *testing.F) {
	w := newWorld("text")
	d, err := New(Config{Fleet: "acme", Operators: w, Inventory: w, Compliance: w, Alerts: w, Rollouts: w, Dead: w, Auditor: w, Door: w, Logins: w, SignIn: &w.provider,
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon }})
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range everyPage("livetext") {
		f.Add(http.MethodGet, path, "", true)
		f.Add(http.MethodGet, path, "", false)
	}
	for _, seed := range [][3]string{{"POST", "/ui/login", "token=viewer&next=/ui/nodes"}, {"POST", "/ui/login", "%zz=;&&token"}, {"POST", "/ui/logout", ""}, {"GET", "/ui/login/provider?next=//evil", ""},
		{"GET", "/ui/login/back?state=1&code=admin", ""}, {"GET", "/ui/nodes?page=-9223372036854775809&label==&name=[", ""}, {"GET", "/ui/audit?before=-1", ""}, {"GET", "/ui/nodes/..%2f..", ""},
		{"GET", "/ui/compliance?control=%00&state=ok&page=x", ""}, {"HEAD", "/ui/", ""}, {"GET", `/ui/<script>`, ""}, {"GET", "/ui/static/../nodes", ""}} {
		f.Add(seed[0], seed[1], seed[2], true)
		f.Add(seed[0], seed[1], seed[2], false)
	}
	h := d.Handler()
	f.Fuzz(func(t *testing.T, method, target, form string, known bool) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Path == "/ui/live" { // a stream has no end
			return
		}
		req, err := http.NewRequestWithContext(t.Context(), method, "https://vigo.example.com/", strings.NewReader(form))
		if err != nil {
			return
		}
		req.URL.Path, req.URL.RawPath, req.URL.RawQuery, req.RequestURI = u.Path, u.RawPath, u.RawQuery, target
		req.RemoteAddr = "127.0.0.1:1"
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if known {
			req.AddCookie(&http.Cookie{Name: cookieName, Value: string(identity.RoleViewer)})
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code >= 500 {
			t.Errorf("%s %s: %d %s", method, target, w.Code, w.Body)
		}
		if strings.Contains(w.Header().Get("Content-Type"), "html") && w.Header().Get("Location") == "" {
			onlyOurs(t, target, w.Body.String())
		}
		if !known && strings.Contains(w.Body.String(), `class="who"`) {
			t.Errorf("%s %s shows a page to nobody", method, target)
		}
		if to := w.Header().Get("Location"); to != "" && !strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "https://id.example.com/") || strings.HasPrefix(to, "//") {
			t.Errorf("%s %s leads to %s", method, target, to)
		}
	})
}
