package forge

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/fault"
)

const (
	merge  = "6dcb09b5b57875f334f61aebed695e2e4193db5e" // the commit on main
	head   = "c3d0be41ecbe669545ee3e94d31ed9a4bc91ee3c" // of the request
	secret = "s3cret"
)

// exchange is one request that is expected, with what is answered. Lines of a fixture that begin with > are of the
// request, those with < of the answer; the body follows.
type exchange struct {
	method, uri, body string
	asked             http.Header
	status            string
	headers           http.Header
	answer            string
}

func parse(t *testing.T, text, server string) []exchange {
	t.Helper()
	var all []exchange
	for block := range strings.SplitSeq(strings.ReplaceAll(text, "{server}", server), "\n\n") {
		e := exchange{asked: http.Header{}, headers: http.Header{}}
		for line := range strings.Lines(strings.TrimSpace(block)) {
			line = strings.TrimRight(line, "\n")
			if sent, ok := strings.CutPrefix(line, "> "); ok {
				name, value, isHeader := strings.Cut(sent, ": ")
				switch {
				case strings.HasPrefix(sent, "{"):
					e.body = sent
				case isHeader:
					e.asked.Set(name, value)
				default:
					e.method, e.uri, _ = strings.Cut(sent, " ")
				}
				continue
			}
			if got, ok := strings.CutPrefix(line, "< "); ok {
				if name, value, isHeader := strings.Cut(got, ": "); isHeader {
					e.headers.Set(name, value)
				} else {
					e.status = got
				}
				continue
			}
			e.answer += line + "\n"
		}
		all = append(all, e)
	}
	return all
}

// replay serves a fixture, in its order, and fails for any other request.
func replay(t *testing.T, kind, fixture string) *Client {
	t.Helper()
	var exchanges []exchange
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || len(exchanges) == 0 {
			t.Errorf("not expected: %s %s %v", r.Method, r.RequestURI, err)
			w.WriteHeader(http.StatusTeapot)
			return
		}
		e := exchanges[0]
		exchanges = exchanges[1:]
		if e.method != r.Method || e.uri != r.RequestURI || e.body != string(body) {
			t.Errorf("got  %s %s %s\nwant %s %s %s", r.Method, r.RequestURI, body, e.method, e.uri, e.body)
		}
		for name := range e.asked {
			if got := r.Header.Get(name); got != e.asked.Get(name) {
				t.Errorf("%s: %s is %q, want %q", r.RequestURI, name, got, e.asked.Get(name))
			}
		}
		for name := range e.headers {
			w.Header().Set(name, e.headers.Get(name))
		}
		status := 0
		for _, digit := range e.status[:3] {
			status = status*10 + int(digit-'0')
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, e.answer) // the client sees what is missing
	}))
	t.Cleanup(func() {
		server.Close()
		if len(exchanges) > 0 && !t.Failed() {
			t.Errorf("%d requests were not made, the first is %s %s", len(exchanges), exchanges[0].method, exchanges[0].uri)
		}
	})
	text, err := os.ReadFile(filepath.Join("testdata", fixture+".http"))
	if err != nil {
		t.Fatal(err)
	}
	exchanges = parse(t, string(text), server.URL)
	c, err := Open(Options{Kind: kind, URL: server.URL + "/acme/policy.git", Token: secret, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func TestWhoApproved(t *testing.T) {
	t.Parallel()
	for fixture, want := range map[string][]Request{
		"github-reviews":   {{Number: 1347, Author: "octocat", Head: head, Merge: merge, Approved: []string{"hubot", "ada"}, Stale: []string{"carol"}}},
		"github-none":      nil,
		"gitlab-approvals": {{Number: 23, Author: "octocat", Head: head, Merge: merge, Approved: []string{"ada"}, Stale: []string{"carol"}}},
		"gitlab-squash":    {{Number: 24, Author: "octocat", Head: head, Merge: merge}},
		"gitea-reviews":    {{Number: 7, Author: "octocat", Head: head, Merge: merge, Approved: []string{"ada"}, Stale: []string{"carol"}}},
		"gitea-none":       nil,
	} {
		t.Run(fixture, func(t *testing.T) {
			t.Parallel()
			kind, _, _ := strings.Cut(fixture, "-")
			got, err := replay(t, kind, fixture).Requests(t.Context(), merge, "main")
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// What could not be read is not taken for what is not there.
func TestWhatCannotBeAsked(t *testing.T) {
	t.Parallel()
	for fixture, want := range map[string]string{
		"github-limited":   "may be asked again at 12:10:00",
		"github-secondary": "may be asked again at 12:00:30",
		"github-missing":   "404 Not Found: Not Found",
		"github-forbidden": "403 Forbidden: Resource not accessible by personal access token",
		"github-moved":     "301 Moved Permanently",
		"github-elsewhere": `the next page is elsewhere: "https://other.example.com/page2"`,
		"github-garbage":   "reading the answer",
		"gitlab-undated":   "does not say when the merge request was approved",
		"gitlab-limited":   "may be asked again at 12:01:00",
		"gitlab-versions":  "is not what was merged",
		"gitea-missing":    "404 Not Found",
	} {
		t.Run(fixture, func(t *testing.T) {
			t.Parallel()
			kind, _, _ := strings.Cut(fixture, "-")
			c := replay(t, kind, fixture)
			got, err := c.Requests(t.Context(), merge, "main")
			if err == nil || !strings.Contains(err.Error(), want) || got != nil {
				t.Fatalf("got %v, %v, want %q", got, err, want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Error("the token is told")
			}
			if !errors.Is(err, ErrLimited) {
				return
			}
			// Nothing is asked before it may: the fixture has no second request.
			if _, err := c.Requests(t.Context(), merge, "main"); !errors.Is(err, ErrLimited) {
				t.Errorf("asked again: %v", err)
			}
		})
	}
}

func TestTellingTheState(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := replay(t, kind, kind+"-status")
			link := c.Link(merge, "modules/web server/module.yaml", 7)
			for _, s := range []State{
				{State: Pending, Text: "waits for approvals\nof two", Context: "vigo/main"},
				{State: Failure, Text: strings.Repeat("ä", 300), Link: strings.Replace(link, c.web.String(), "https://git.example.com/acme/policy", 1), Context: "vigo/main"},
				{State: Success, Text: "published", Context: "vigo/main"},
			} {
				if err := c.Tell(t.Context(), merge, s); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ kind, url, token, want string }{
		{GitHub, "https://github.com/acme/policy.git", "x", "https://api.github.com/"},
		{GitHub, "https://git.example.com/acme/policy/", "x", "https://git.example.com/api/v3"},
		{GitHub, "ssh://git@git.example.com:2222/acme/policy.git", "x", "https://git.example.com/api/v3"},
		{GitLab, "https://git.example.com/acme/ops/policy", "x", "https://git.example.com/api/v4"},
		{Gitea, "http://git.example.com/acme/policy", "", "http://git.example.com/api/v1"},
		{Gitea, "http://127.0.0.1:3000/acme/policy", "x", "http://127.0.0.1:3000/api/v1"},
		{Gitea, "http://git.example.com/acme/policy", "x", "over plain http"},
		{Gitea, "https://git.example.com/policy", "x", "names no repository"},
		{Gitea, "git@git.example.com:acme/policy", "x", "is not the address of a repository"},
		{"gittea", "https://git.example.com/acme/policy", "x", "is not a kind of forge"},
	} {
		c, err := Open(Options{Kind: tt.kind, URL: tt.url, Token: tt.token})
		if err != nil {
			if !strings.Contains(err.Error(), tt.want) || len(fault.Hints(err)) == 0 {
				t.Errorf("%s: %v, want %q", tt.url, err, tt.want)
			}
			continue
		}
		if got := c.api.String(); got != tt.want {
			t.Errorf("%s: the API is %s, want %s", tt.url, got, tt.want)
		}
	}
	c, err := Open(Options{Kind: GitLab, URL: "https://git.example.com/acme/ops/policy"})
	if err != nil || c.owner != "acme/ops" || c.Link(merge, "fleet.yaml", 0) != "https://git.example.com/acme/ops/policy/-/blob/"+merge+"/fleet.yaml" {
		t.Errorf("%+v, %v", c, err)
	}
}

// The token is for one host.
func TestOtherRepositoriesOfAForge(t *testing.T) {
	t.Parallel()
	c, err := Open(Options{Kind: GitLab, URL: "https://git.example.com:8443/acme/policy", Token: secret})
	if err != nil {
		t.Fatal(err)
	}
	lab, err := c.Another("ssh://git.example.com/acme/ops/lab.git")
	if err != nil || lab.web.String() != "https://git.example.com:8443/acme/ops/lab" || lab.api.Host != c.api.Host {
		t.Errorf("%+v, %v", lab, err)
	}
	for _, elsewhere := range []string{"https://git.example.org/acme/lab", "http://git.example.com.evil.example/acme/lab"} {
		if other, err := c.Another(elsewhere); other != nil || err != nil {
			t.Errorf("%s: %+v, %v", elsewhere, other, err)
		}
	}
}
