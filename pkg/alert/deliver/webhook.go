package deliver

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"vigo.dev/pkg/report"
)

// poster sends webhooks as https://www.standardwebhooks.com describes them.
type poster struct {
	url    string
	host   string
	bearer string
	agent  string
	key    ed25519.PrivateKey
	client *http.Client
}

func newPoster(w Webhook, key ed25519.PrivateKey, agent string) (*poster, error) {
	var err error
	p := &poster{url: w.URL, key: key, agent: agent}
	if w.URLFile != "" {
		if p.url, err = secret("URL", w.URLFile); err != nil {
			return nil, err
		}
		if err := checkURL(p.url, w.PlainHTTP); err != nil {
			return nil, err
		}
	}
	u, err := url.Parse(p.url)
	if err != nil {
		return nil, errors.New("url: it cannot be used")
	}
	p.host = u.Host
	if w.BearerFile != "" {
		if p.bearer, err = secret("bearer token", w.BearerFile); err != nil {
			return nil, err
		}
	}
	conf, err := tlsConfig(w.CA, "")
	if err != nil {
		return nil, err
	}
	p.client = &http.Client{Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: conf, MaxIdleConns: 2, IdleConnTimeout: time.Minute,
			ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10}}
	return p, nil
}

// Send implements Sender.
func (p *poster) Send(ctx context.Context, n report.Notice) error {
	body, err := json.Marshal(struct {
		Type string `json:"type"`
		report.Notice
	}{"vigo.alerts", n})
	if err != nil {
		return &Failure{Err: fmt.Errorf("writing the notice: %w", err), Never: true}
	}
	return p.post(ctx, n.ID, body)
}

// beat says that the service is well.
func (p *poster) beat(ctx context.Context, fleet string) error {
	now := time.Now().UTC()
	body, err := json.Marshal(map[string]any{"type": "vigo.heartbeat", "fleet": fleet, "at": now})
	if err != nil {
		return err
	}
	return p.post(ctx, "beat_"+strconv.FormatInt(now.UnixNano(), 36), body)
}

func (p *poster) post(ctx context.Context, id string, body []byte) error {
	resp, err := p.do(ctx, id, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	return p.judge(resp)
}

// do sends a signed request. The caller closes the body of the answer.
func (p *poster) do(ctx context.Context, id string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return nil, &Failure{Err: errors.New("url: it cannot be used"), Never: true}
	}
	now := time.Now() // the receiver compares with its clock
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", p.agent)
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("Webhook-Signature", sign(p.key, id, now, body))
	if p.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+p.bearer)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, &Failure{Err: p.unreached(err)}
	}
	return resp, nil
}

// unreached leaves the URL out of an error: it may be a secret.
func (p *poster) unreached(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return fmt.Errorf("reaching %s: %w", p.host, err)
}

func (p *poster) judge(resp *http.Response) error {
	if resp.StatusCode/100 == 2 {
		return nil
	}
	f := &Failure{Err: fmt.Errorf("%s answers %d %s", p.host, resp.StatusCode, http.StatusText(resp.StatusCode))}
	switch resp.StatusCode {
	case http.StatusGone:
		f.Never = true
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		f.Alone = true
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		f.After = time.Duration(min(seconds, 3600)) * time.Second
	}
	return f
}
