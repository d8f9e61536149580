package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Backend is what a server is made of. Every field but Requests is needed.
type Backend struct {
	Agents       Agents
	Hubs         Hubs
	Gate         Gate
	Operators    Operators
	Compliance   Compliance
	Inventory    Inventory
	History      History
	Alerts       Alerts
	DeadNotices  DeadNotices
	Upkeep       Upkeep
	Admin        Admin
	Roster       Roster
	Staff        Staff
	Auditor      Auditor
	Access       Access
	Logins       Logins
	Certificates Certificates
	Fleet        string
	Log          *slog.Logger
	Now          func() time.Time
	// Requests is how many requests are worked on at once; 0: [MaxRequests].
	Requests int
	// Observe is told of every request that was answered: route pattern, status and duration.
	Observe func(route string, status int, took time.Duration)
}

// The limits of a server beside those of bodies.
const (
	// MaxRequests is how many requests are worked on at once, unless said otherwise; more are sent away as busy, so that
	// those under way finish.
	MaxRequests = 512
	bodyTime    = 30 * time.Second // to send a body
	answerTime  = 60 * time.Second // to read an answer, from the beginning of the request
	workTime    = 20 * time.Second // to wait for the store
)

// server holds the routes.
type server struct {
	Backend
	slots chan struct{}
}

// NewServer returns the handler of all /v1/ routes. It must be served over TLS with client certificates verified when
// given (identity.Server.TLS).
func NewServer(b Backend) http.Handler {
	s := &server{b, make(chan struct{}, cmp.Or(b.Requests, MaxRequests))}
	mux := http.NewServeMux()
	handle := func(pattern string, h func(w http.ResponseWriter, r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(pattern, h, w, r) })
	}
	for _, r := range s.routes() {
		handle(r.pattern, r.serve)
	}
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) { s.refuse(w, r, Refuse(ErrNotFound, "no such route")) })
	return mux
}

// serve answers one request with what h returns, as JSON.
func (s *server) serve(route string, h func(http.ResponseWriter, *http.Request) (any, error), w http.ResponseWriter, r *http.Request) {
	began := s.Now()
	status := http.StatusOK
	r = withCaller(r)
	answer, err := s.work(h, w, r)
	if err == nil {
		err = writeJSON(w, http.StatusOK, answer)
		if err != nil {
			s.Log.Debug("answering", "route", route, "err", err)
		}
	} else {
		status = s.refuse(w, r, err)
		s.recordRefusal(r, route, wireError(err))
	}
	s.Observe(route, status, s.Now().Sub(began))
}

// work runs h in one of the slots and within the limits of time.
func (s *server) work(h func(http.ResponseWriter, *http.Request) (any, error), w http.ResponseWriter, r *http.Request) (any, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		return nil, ErrBusy
	}
	limits, now := http.NewResponseController(w), time.Now() // the clock of the connection
	if err := errors.Join(limits.SetReadDeadline(now.Add(bodyTime)), limits.SetWriteDeadline(now.Add(answerTime))); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, fmt.Errorf("limiting the time of a request: %w", err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), workTime)
	defer cancel()
	return h(w, r.WithContext(ctx))
}

// refuse answers with an error; what is not a refusal is logged and stays private.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, err error) int {
	out := wireError(err)
	if out.Code == ErrInternal.Code {
		s.Log.Error("serving", "method", r.Method, "path", r.URL.Path, "err", err)
	} else {
		s.Log.Debug("refusing", "method", r.Method, "path", r.URL.Path, "code", out.Code, "err", err)
	}
	if out.Retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(out.Retry/time.Second)))
	}
	if out.Status == http.StatusUnauthorized {
		w.Header().Set("Connection", "close") // who is not known does not keep a connection either
	}
	if err := writeJSON(w, out.Status, struct {
		Error *Error `json:"error"`
	}{out}); err != nil {
		s.Log.Debug("answering", "path", r.URL.Path, "err", err)
	}
	return out.Status
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	if v == nil {
		v = struct{}{}
	}
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, ErrInternal.Message, http.StatusInternalServerError)
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, err = w.Write(body)
	return err
}

// body reads a body of at most limit bytes.
func body(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, Refuse(ErrMediaType, "body of type %.80q, want application/json", r.Header.Get("Content-Type"))
	}
	if r.ContentLength > limit {
		return nil, Refuse(ErrTooLarge, "body of %d bytes, at most %d", r.ContentLength, limit)
	}
	var buf bytes.Buffer
	if r.ContentLength > 0 && r.ContentLength <= MaxSmall { // more is believed when it comes
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, limit)); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, Refuse(ErrTooLarge, "body of more than %d bytes", limit)
		}
		return nil, Refuse(ErrBadRequest, "reading the body: %s", err)
	}
	return buf.Bytes(), nil
}

// decode reads one JSON document; unknown keys are ignored, so that newer agents can talk to older services.
func decode(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(into); err != nil {
		return Refuse(ErrBadRequest, "decoding the body: %s", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return Refuse(ErrBadRequest, "decoding the body: more than one document")
	}
	return nil
}

// address is where a request comes from, without the port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
