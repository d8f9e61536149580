//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"vigo.dev/pkg/host"
)

const (
	defaultFetchLimit = 1 << 30
	maxRedirects      = 5
)

// fetcher is host.Fetcher for http and https. It refuses file: URLs, which would read what the program may read, and
// redirects from https to http. Proxies are taken from the environment.
type fetcher struct{ client *http.Client }

var _ host.Fetcher = (*fetcher)(nil)

func newFetcher() *fetcher {
	return &fetcher{client: &http.Client{
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			return allowed(req.URL, via[0].URL.Scheme == "https")
		},
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout:   15 * time.Second,
			ResponseHeaderTimeout: 60 * time.Second,
			IdleConnTimeout:       10 * time.Second,
			ForceAttemptHTTP2:     true,
			DisableCompression:    true, // a digest is of the content as it is served
		},
	}}
}

func allowed(u *url.URL, secure bool) error {
	switch {
	case u.Scheme == "https", u.Scheme == "http" && !secure:
		return nil
	case u.Scheme == "http":
		return errors.New("refusing a redirect from https to http")
	}
	return fmt.Errorf("scheme %q: want https or http", u.Scheme)
}

// Fetch implements [host.Fetcher].
func (f *fetcher) Fetch(ctx context.Context, q host.Request, w io.Writer) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, q.URL, nil)
	if err != nil {
		return 0, fmt.Errorf("fetching: %w", err)
	}
	shown := req.URL.Redacted()
	if err := allowed(req.URL, false); err != nil {
		return 0, fmt.Errorf("fetching %s: %w", shown, err)
	}
	for key, value := range q.Header {
		req.Header.Set(key, value)
	}
	if q.From > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", q.From))
	}
	res, err := f.client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // its text repeats the URL
		}
		return 0, fmt.Errorf("fetching %s: %w", shown, err)
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusGone:
		return 0, fmt.Errorf("fetching %s: %w: %s", shown, host.ErrNotFound, res.Status)
	case res.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return 0, fmt.Errorf("fetching %s: %w than %d bytes", shown, host.ErrRange, q.From)
	case res.StatusCode != http.StatusOK && (res.StatusCode != http.StatusPartialContent || q.From == 0):
		return 0, fmt.Errorf("fetching %s: %s", shown, res.Status)
	}
	n, err := copyFrom(w, res, q)
	if err != nil {
		return n, fmt.Errorf("fetching %s: %w", shown, err)
	}
	return n, nil
}

// copyFrom copies the content of a response from where it is wanted. A server that passes over the range sends all of it.
func copyFrom(w io.Writer, res *http.Response, q host.Request) (int64, error) {
	limit := q.Limit
	if limit == 0 {
		limit = defaultFetchLimit
	}
	if res.StatusCode == http.StatusPartialContent {
		if got, want := res.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", q.From); !strings.HasPrefix(got, want) {
			return 0, fmt.Errorf("asked for what is behind byte %d, and got the range %q", q.From, got)
		}
	} else if _, err := io.CopyN(io.Discard, res.Body, q.From); err == io.EOF {
		return 0, fmt.Errorf("%w than %d bytes", host.ErrRange, q.From)
	} else if err != nil {
		return 0, err
	}
	left := limit - q.From
	n, err := io.Copy(w, io.LimitReader(res.Body, left+1))
	if err == nil && n > left {
		err = fmt.Errorf("more than the limit of %d bytes", limit)
	}
	return n, err
}
