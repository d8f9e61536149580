package forge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/excerpt"
)

const (
	maxAnswer = 8 << 20 // bytes of one page
	maxPages  = 20      // of 100 entries
	perPage   = 100
)

// usualPause is how long nothing is asked when a forge limits us and does not say for how long.
const usualPause = time.Minute

// maxPause bounds how long a forge may keep us from asking.
const maxPause = time.Hour

// A refusal is an answer other than that of success.
type refusal struct {
	status  int
	message string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("it answered %d %s: %s", r.status, http.StatusText(r.status), r.message)
}

// Hint implements fault.Hinter.
func (r *refusal) Hint() string {
	switch {
	case r.status == http.StatusUnauthorized, r.status == http.StatusForbidden:
		return "give a token that may read pull requests and write commit statuses"
	case r.status == http.StatusNotFound:
		return "is the address of the repository right, and may the token read it?"
	case r.status/100 == 3:
		return "the repository seems to have moved: give its new address"
	}
	return ""
}

func statusOf(err error) int {
	if r := (*refusal)(nil); errors.As(err, &r) {
		return r.status
	}
	return 0
}

// each asks for all pages of a list and decodes the entries. The path is relative to the API.
func each[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	var all []T
	next := c.api.JoinPath(path).String() + fmt.Sprintf("?per_page=%d&limit=%d", perPage, perPage) // GitHub and GitLab, Gitea
	for range maxPages {
		var page []T
		links, err := c.ask(ctx, http.MethodGet, next, nil, &page)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if next = nextPage(links); next == "" {
			return all, nil
		}
		if err := c.sameAPI(next); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s has more than %d pages", path, maxPages)
}

// one asks for one thing.
func one[T any](ctx context.Context, c *Client, path string) (T, error) {
	var v T
	_, err := c.ask(ctx, http.MethodGet, c.api.JoinPath(path).String(), nil, &v)
	return v, err
}

// sameAPI refuses a page that is elsewhere: the token would go there.
func (c *Client) sameAPI(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != c.api.Scheme || u.Host != c.api.Host {
		return fmt.Errorf("the next page is elsewhere: %q", address)
	}
	return nil
}

// nextPage finds rel="next" in the header Link (RFC 8288).
func nextPage(header []string) string {
	for _, value := range header {
		for link := range strings.SplitSeq(value, ",") {
			target, params, ok := strings.Cut(strings.TrimSpace(link), ">")
			if ok && strings.HasPrefix(target, "<") && strings.Contains(params, `rel="next"`) {
				return target[1:]
			}
		}
	}
	return ""
}

// ask sends one request and decodes the answer into v, unless v is nil.
func (c *Client) ask(ctx context.Context, method, address string, body, v any) (links []string, err error) {
	if err := c.limited(); err != nil {
		return nil, err
	}
	var data io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		data = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, data)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "vigo")
	if _, ok := c.dialect.(github); ok {
		req.Header.Set("Accept", "application/vnd.github+json")
		req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	}
	c.auth(req.Header)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(text) > maxAnswer {
		return nil, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	if err := c.refused(resp, text); err != nil {
		return nil, err
	}
	if v == nil {
		return nil, nil
	}
	if err := json.Unmarshal(text, v); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return resp.Header.Values("Link"), nil
}

// refused turns an answer that is not one of success into an error, and remembers when not to ask.
func (c *Client) refused(resp *http.Response, text []byte) error {
	if resp.StatusCode/100 == 2 {
		return nil
	}
	wait := pause(resp.Header, c.now())
	limited := resp.StatusCode == http.StatusTooManyRequests ||
		resp.StatusCode == http.StatusForbidden && (resp.Header.Get("Retry-After") != "" || resp.Header.Get("X-RateLimit-Remaining") == "0")
	if limited || resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.until = c.now().Add(wait)
		return fmt.Errorf("%w: it may be asked again at %s", ErrLimited, c.until.UTC().Format(time.TimeOnly))
	}
	var said struct {
		Message json.RawMessage `json:"message"`
		Error   string          `json:"error"`
	}
	_ = json.Unmarshal(text, &said) // what is no JSON says nothing
	message := strings.Trim(string(said.Message), `"`)
	if message == "" {
		message = said.Error
	}
	return &refusal{status: resp.StatusCode, message: excerpt.Of(message, 300)}
}

func (c *Client) limited() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now().Before(c.until) {
		return fmt.Errorf("%w: it may be asked again at %s", ErrLimited, c.until.UTC().Format(time.TimeOnly))
	}
	return nil
}

// pause reads for how long nothing should be asked: Retry-After, or when the window of a rate limit ends (GitHub:
// X-RateLimit-Reset, GitLab: RateLimit-Reset; seconds since 1970).
func pause(h http.Header, now time.Time) time.Duration {
	wait := usualPause
	if seconds, err := strconv.ParseInt(h.Get("Retry-After"), 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		wait = at.Sub(now)
	} else {
		for _, name := range []string{"X-RateLimit-Reset", "RateLimit-Reset"} {
			if at, err := strconv.ParseInt(h.Get(name), 10, 64); err == nil && at > 0 {
				wait = time.Unix(at, 0).Sub(now)
				break
			}
		}
	}
	return min(max(wait, time.Second), maxPause)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
