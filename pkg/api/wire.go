package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
)

// maxRetry bounds how long a service can send a client away.
const maxRetry = 10 * time.Minute

// wire sends requests over connections that are kept alive. HTTP/1.1 with keep-alive costs the service about 30 % less
// per check-in than HTTP/2, so nothing else is offered.
type wire struct {
	bases  []string // in order
	client *http.Client
	now    func() time.Time

	mu   sync.Mutex
	at   int       // of bases, which answered last
	left time.Time // when the first stopped to answer
}

// homesick is how long a client stays with another address before it tries the first again.
const homesick = 5 * time.Minute

func newWire(rawURLs []string, conf *tls.Config, timeout time.Duration, now func() time.Time) (*wire, error) {
	bases := make([]string, len(rawURLs))
	for i, rawURL := range rawURLs {
		var err error
		if bases[i], err = serverBase(rawURL); err != nil {
			return nil, err
		}
	}
	if timeout <= 0 {
		timeout = 30 * time.Second
	}
	return &wire{bases: bases, now: now, client: &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: dialTime, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:       conf,
			TLSNextProto:          map[string]func(string, *tls.Conn) http.RoundTripper{},
			TLSHandshakeTimeout:   15 * time.Second,
			ResponseHeaderTimeout: timeout,
			MaxIdleConnsPerHost:   32, // a hub relays for many at once
			IdleConnTimeout:       10 * time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// dialTime is how long a server may take to accept a connection before the next is tried.
const dialTime = 5 * time.Second

// serverBase checks the address of a server and returns it without a slash at the end.
func serverBase(rawURL string) (string, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
		return "", fault.WithHint(fmt.Errorf("address %q of the report service cannot be used", rawURL), "write https://HOST:PORT")
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

// origin is the address of the first server, without a path.
func (w *wire) origin() string {
	host, _, _ := strings.Cut(strings.TrimPrefix(w.bases[0], "https://"), "/")
	return "https://" + host
}

// do sends one request and decodes the answer into out (which may be nil). prepare may add headers; it is called again for
// each server that is tried.
func (w *wire) do(ctx context.Context, method, path string, in, out any, prepare func(*http.Request, []byte) error) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("encoding a request: %w", err)
		}
	}
	said, err := w.send(ctx, method, path, body, prepare, reachedNobody)
	if err != nil {
		return err
	}
	if said.status != http.StatusOK {
		return refused(said)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(said.data, out); err != nil {
		return fmt.Errorf("decoding the answer: %w", err)
	}
	if o, ok := out.(interface{ from(hub bool) }); ok {
		o.from(said.hub)
	}
	return nil
}

// origin is embedded in answers for which it matters whether a hub has handed them on.
type origin struct{ hub bool }

func (o *origin) from(hub bool) { o.hub = hub }

// answer is what a server said, whatever that was.
type answer struct {
	status int
	line   string // such as "200 OK"
	header http.Header
	data   []byte
	hub    bool // the server is a hub
}

// reachedNobody is whether another server may be asked after an error: none answered.
func reachedNobody(err error) bool { return errors.Is(err, ErrUnreachable) }

// sentNothing is whether another server may be sent the very same request, which may come only once: there was no connection.
func sentNothing(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// cutOff is whether there was a connection that ended before the answer did.
func cutOff(err error) bool {
	return errors.Is(err, ErrUnreachable) && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE))
}

// send sends one request to the servers, in order from the one that answered last, until one answers or next says that no
// other may be asked.
func (w *wire) send(ctx context.Context, method, path string, body []byte, prepare func(*http.Request, []byte) error, next func(error) bool) (answer, error) {
	start := w.start()
	var failed error
	for i := range w.bases {
		at := (start + i) % len(w.bases)
		said, err := w.sendTo(ctx, w.bases[at], method, path, body, prepare)
		if err == nil {
			w.stay(at)
			return said, nil
		}
		failed = errors.Join(failed, err)
		if !next(err) || ctx.Err() != nil {
			break
		}
	}
	return answer{}, failed
}

// start is the server to try first: the one that answered last, and now and then the first of all again.
func (w *wire) start() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at != 0 && w.now().Sub(w.left) > homesick {
		w.at = 0
	}
	return w.at
}

func (w *wire) stay(at int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at == 0 && at != 0 {
		w.left = w.now()
	}
	w.at = at
}

func (w *wire) sendTo(ctx context.Context, base, method, path string, body []byte, prepare func(*http.Request, []byte) error) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, fmt.Errorf("making a request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if prepare != nil {
		if err := prepare(req, body); err != nil {
			return answer{}, err
		}
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return answer{}, reach(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	if err != nil {
		return answer{}, reach(err)
	}
	if len(data) > MaxAnswer {
		return answer{}, fmt.Errorf("reading the answer: more than %d bytes: %w", MaxAnswer, ErrTooLarge)
	}
	hub := resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 && identity.OfHub(resp.TLS.PeerCertificates[0])
	return answer{resp.StatusCode, resp.Status, resp.Header, data, hub}, nil
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
func refused(a answer) error {
	var said struct {
		Error *Error `json:"error"`
	}
	if err := json.Unmarshal(a.data, &said); err != nil || said.Error == nil || said.Error.Code == "" {
		return fmt.Errorf("%w: it answered %s, which is not of a report service", ErrUnreachable, a.line)
	}
	said.Error.Status = a.status
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && seconds > 0 {
		said.Error.Retry = min(time.Duration(seconds)*time.Second, maxRetry)
	}
	if date, err := http.ParseTime(a.header.Get("Date")); err == nil {
		said.Error.Date = date
	}
	return said.Error
}
