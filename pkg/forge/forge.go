// Package forge asks the place where a policy repository is hosted who approved a commit, and tells it what became of one:
// GitHub, GitLab, and Gitea with Forgejo.
//
// It refuses to send its token over plain HTTP, except on this machine, or to where a redirect leads; to take what it could
// not read for what is not there; and to count an approval of anything but what was merged.
package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"vigo.dev/pkg/fault"
)

// The kinds of forges.
const (
	GitHub = "github" // also GitHub Enterprise Server
	GitLab = "gitlab"
	Gitea  = "gitea" // also Forgejo
)

// Kinds lists them.
func Kinds() []string { return []string{GitHub, GitLab, Gitea} }

// ErrLimited means that the forge wants fewer questions: nothing is asked until it has said that it may.
var ErrLimited = errors.New("the forge limits how much may be asked")

// Options says which repository of which forge it is about. Kind and URL are required.
type Options struct {
	Kind   string
	URL    string // of the repository, as people open or clone it: https://git.example.com/acme/policy
	Token  string
	Client *http.Client // for its transport; nil: the usual one
	Now    func() time.Time
}

// A Request is a merged pull or merge request.
type Request struct {
	Number   int64
	Author   string // account
	Head     string // commit that was merged, and has to have been approved
	Merge    string // commit it became on the branch; empty: not told
	Approved []string
	// Stale are the accounts whose approval was of an earlier commit.
	Stale []string
}

// The states of a commit.
const (
	Pending = "pending"
	Success = "success"
	Failure = "failure"
)

// A State is what is told of a commit.
type State struct {
	State   string // one of the constants
	Text    string // one line; what is too long for the forge is cut
	Link    string // optional
	Context string // names whose state it is, such as vigo/production
}

// dialect is one kind of forge.
type dialect interface {
	// requests finds the merged requests that brought a commit to a branch, with who approved them.
	requests(ctx context.Context, commit, branch string) ([]Request, error)
	// tell sets the state of a commit.
	tell(ctx context.Context, commit string, s State) error
	// file is the path of a file in a commit, below the web address of the repository.
	file(commit, name string) string
}

// A Client asks one forge about one repository. It may be used by several goroutines.
type Client struct {
	dialect
	opt   Options
	web   *url.URL // of the repository
	api   *url.URL
	owner string // and further groups
	name  string
	http  *http.Client
	auth  func(h http.Header)
	now   func() time.Time

	mu    sync.Mutex
	until time.Time // nothing is asked before
}

// Open makes a client; nothing is asked yet.
func Open(o Options) (*Client, error) {
	u, err := url.Parse(strings.TrimSuffix(strings.TrimSuffix(o.URL, "/"), ".git"))
	if err == nil && u.Scheme == "ssh" { // what is cloned that way is opened over HTTPS
		u.Scheme, u.Host = "https", u.Hostname()
	}
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fault.WithHint(fmt.Errorf("opening the forge: %q is not the address of a repository", o.URL), "https://git.example.com/acme/policy")
	}
	if u.Scheme == "http" && o.Token != "" && !loopback(u.Hostname()) {
		return nil, fault.WithHint(errors.New("opening the forge: the token would be sent over plain http"), "use https")
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	path := strings.Trim(u.Path, "/")
	at := strings.LastIndex(path, "/")
	if at < 1 {
		return nil, fault.WithHint(fmt.Errorf("opening the forge: %q names no repository", o.URL), "https://git.example.com/acme/policy")
	}
	c := &Client{opt: o, web: u, owner: path[:at], name: path[at+1:], now: o.Now, http: &http.Client{Timeout: 30 * time.Second}}
	if o.Client != nil {
		c.http.Transport = o.Client.Transport
	}
	if c.now == nil {
		c.now = time.Now
	}
	// A token is for the host it was given for.
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	root := &url.URL{Scheme: u.Scheme, Host: u.Host}
	switch o.Kind {
	case GitHub:
		c.dialect, c.api, c.auth = github{c}, root.JoinPath("api/v3"), bearer("Bearer ", o.Token)
		if u.Host == "github.com" {
			c.api = &url.URL{Scheme: "https", Host: "api.github.com", Path: "/"}
		}
	case GitLab:
		c.dialect, c.api, c.auth = gitlab{c}, root.JoinPath("api/v4"), func(h http.Header) {
			if o.Token != "" {
				h.Set("PRIVATE-TOKEN", o.Token)
			}
		}
	case Gitea:
		c.dialect, c.api, c.auth = gitea{c}, root.JoinPath("api/v1"), bearer("token ", o.Token)
	default:
		return nil, fault.WithHint(fmt.Errorf("opening the forge: %q is not a kind of forge", o.Kind), fault.DidYouMean(o.Kind, Kinds()))
	}
	return c, nil
}

func bearer(scheme, token string) func(http.Header) {
	return func(h http.Header) {
		if token != "" {
			h.Set("Authorization", scheme+token)
		}
	}
}

// Requests finds the merged requests that brought a commit to a branch, each with the accounts that approved what was
// merged. None is an answer; an error means that it could not be found out.
func (c *Client) Requests(ctx context.Context, commit, branch string) ([]Request, error) {
	found, err := c.requests(ctx, commit, branch)
	if err != nil {
		return nil, fmt.Errorf("asking %s who approved %.12s: %w", c.web.Host, commit, err)
	}
	return found, nil
}

// Tell sets the state of a commit.
func (c *Client) Tell(ctx context.Context, commit string, s State) error {
	if err := c.tell(ctx, commit, s); err != nil {
		return fmt.Errorf("telling %s the state of %.12s: %w", c.web.Host, commit, err)
	}
	return nil
}

// Another makes a client for another repository of the same forge; nil if the repository is elsewhere, where the token does
// not belong.
func (c *Client) Another(repository string) (*Client, error) {
	u, err := url.Parse(repository)
	if err != nil || u.Hostname() != c.web.Hostname() {
		return nil, nil
	}
	o := c.opt
	o.URL = c.web.Scheme + "://" + c.web.Host + u.Path
	return Open(o)
}

// Link is the address of a line of a file in a commit; of the file if line is 0.
func (c *Client) Link(commit, name string, line int) string {
	u := *c.web
	u.Fragment = ""
	if line > 0 {
		u.Fragment = fmt.Sprintf("L%d", line)
	}
	return u.JoinPath(c.file(commit, name)).String()
}

// repo is the path of the repository in the APIs of GitHub and Gitea.
func (c *Client) repo(rest ...string) string {
	parts := append([]string{"repos", c.owner, c.name}, rest...)
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// here says whether the full name of a repository is that of ours; forges do not tell cases apart.
func (c *Client) here(fullName string) bool { return strings.EqualFold(fullName, c.owner+"/"+c.name) }

// cut makes a text one line of at most so many characters.
func cut(text string, limit int) string {
	text, _, _ = strings.Cut(text, "\n")
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return text
}
