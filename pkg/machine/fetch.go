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
func (f *fetcher) Fetch(ctx context.Context, from string, header map[string]string, limit int64, w io.Writer) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return 0, fmt.Errorf("fetching: %w", err)
	}
	shown := req.URL.Redacted()
	if err := allowed(req.URL, false); err != nil {
		return 0, fmt.Errorf("fetching %s: %w", shown, err)
	}
	for key, value := range header {
		req.Header.Set(key, value)
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
	case res.StatusCode != http.StatusOK:
		return 0, fmt.Errorf("fetching %s: %s", shown, res.Status)
	}
	if limit == 0 {
		limit = defaultFetchLimit
	}
	n, err := io.Copy(w, io.LimitReader(res.Body, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("more than the limit of %d bytes", limit)
	}
	if err != nil {
		return n, fmt.Errorf("fetching %s: %w", shown, err)
	}
	return n, nil
}
