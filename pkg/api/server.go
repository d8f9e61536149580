package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/report"
)

// Backend is what a server is made of. Every field but Requests is needed.
type Backend struct {
	Agents         Agents
	Hubs           Hubs
	Gate           Gate
	Operators      Operators
	Compliance     Compliance
	Modes          Modes
	Inventory      Inventory
	History        History
	Alerts         Alerts
	DeadNotices    DeadNotices
	Upkeep         Upkeep
	Rollouts       Rollouts
	RolloutRecords RolloutRecords
	Reboots        Reboots
	Doctor         Doctor
	Admin          Admin
	Roster         Roster
	Staff          Staff
	Auditor        Auditor
	Access         Access
	Logins         Logins
	Certificates   Certificates
	Fleet          string
	Log            *slog.Logger
	Now            func() time.Time
	// Requests is how many requests of a sort, those that wait for the store and those that do not, are worked on at once; 0:
	// [MaxRequests].
	Requests int
	// Observe is told of every request that was answered: route pattern, status and duration.
	Observe func(route string, status int, took time.Duration)
}

// The limits of a server beside those of bodies.
const (
	// MaxRequests is how many requests of a sort are worked on at once, unless said otherwise; more are sent away as busy, so
	// that those under way finish, and a store that hangs leaves room for those that do not wait for it.
	MaxRequests = 512
	bodyTime    = 30 * time.Second // to send a body
	answerTime  = 60 * time.Second // to read an answer, from the beginning of the request
	workTime    = 20 * time.Second // to wait for the store
)

// server holds the routes.
type server struct {
	Backend
	quick, waiting chan struct{} // the slots of either sort
	bodies         sync.Pool     // of *[bytes.Buffer], of check-ins
	checkIns       sync.Pool     // of *[report.CheckIn]
	batches        sync.Pool     // of *[bytes.Buffer], of batches of check-ins
}

func newServer(b Backend) *server {
	s := &server{Backend: b, quick: make(chan struct{}, cmp.Or(b.Requests, MaxRequests)), waiting: make(chan struct{}, cmp.Or(b.Requests, MaxRequests))}
	s.bodies.New = func() any { return new(bytes.Buffer) }
	s.checkIns.New = func() any { return new(report.CheckIn) }
	s.batches.New = func() any { return new(bytes.Buffer) }
	return s
}

// isQuick is whether a route is answered from memory: nearly all requests are of these.
func isQuick(route string) bool {
	return route == checkInRoute || route == batchRoute || route == "POST /v1/hub"
}

// The routes of check-ins.
const (
	checkInRoute = "POST " + checkInPath
	batchRoute   = "POST " + batchPath
)

// NewServer returns the handler of all /v1/ routes. It must be served over TLS with client certificates verified when
// given (identity.Server.TLS).
func NewServer(b Backend) http.Handler {
	s := newServer(b)
	mux := http.NewServeMux()
	for _, known := range s.routes() {
		h := s.guarded(known)
		mux.HandleFunc(known.pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(known.pattern, h, w, r) })
	}
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) { s.refuse(w, r, Refuse(ErrNotFound, "no such route")) })
	return mux
}

// serve answers one request with what h returns, as JSON.
func (s *server) serve(route string, h handler, w http.ResponseWriter, r *http.Request) {
	began := s.Now()
	status := http.StatusOK
	r, done := prepare(r, isQuick(route))
	defer done()
	answer, err := s.work(isQuick(route), h, w, r)
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

// prepare lets what handles a request say who sent it, and what it calls ask; and it ends when it has waited too long.
func prepare(r *http.Request, quick bool) (*http.Request, context.CancelFunc) {
	ctx := audit.WithCaller(r.Context(), &audit.Caller{Address: address(r)})
	if quick {
		return r.WithContext(ctx), func() {}
	}
	ctx, cancel := context.WithTimeout(ctx, workTime)
	return r.WithContext(ctx), cancel
}

// work runs h in one of the slots.
func (s *server) work(quick bool, h handler, w http.ResponseWriter, r *http.Request) (any, error) {
	slots := s.waiting
	if quick {
		slots = s.quick
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	default:
		return nil, ErrBusy
	}
	limits, now := http.NewResponseController(w), time.Now() // the clock of the connection
	if err := errors.Join(limits.SetReadDeadline(now.Add(bodyTime)), limits.SetWriteDeadline(now.Add(answerTime))); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, fmt.Errorf("limiting the time of a request: %w", err)
	}
	return h(w, r)
}

// refuse answers with an error; what is not a refusal is logged and stays private.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, err error) int {
	out := wireError(err)
	s.log(r, out, err)
	if out.Retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(out.Retry/time.Second)))
	}
	if out.Status == http.StatusUnauthorized {
		w.Header().Set("Connection", "close") // who is not known does not keep a connection either
	}
	if err := writeJSON(w, out.Status, refusalBody{out}); err != nil {
		s.Log.Debug("answering", "path", r.URL.Path, "err", err)
	}
	return out.Status
}

// refusalBody is the body of a refusal.
type refusalBody struct {
	Error *Error `json:"error"`
}

// log notes a request that was refused, or has failed.
func (s *server) log(r *http.Request, said *Error, err error) {
	if said.Code == ErrInternal.Code {
		s.Log.Error("serving", "method", r.Method, "path", r.URL.Path, "err", err)
	} else {
		s.Log.Debug("refusing", "method", r.Method, "path", r.URL.Path, "code", said.Code, "err", err)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	if v == nil {
		v = struct{}{}
	}
	kind := jsonType
	body, ready := v.(lines)
	if ready {
		kind = jsonLines
		w.Header().Set("Content-Length", strconv.Itoa(len(body))) // also when it is more than is buffered
	} else {
		var err error
		if body, err = json.Marshal(v); err != nil {
			http.Error(w, ErrInternal.Message, http.StatusInternalServerError)
			return err
		}
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

// body reads a body of at most limit bytes.
func body(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	var buf bytes.Buffer
	err := readBody(w, r, jsonType, limit, &buf)
	return buf.Bytes(), err
}

// jsonType is the media type of all bodies but batches.
const jsonType = "application/json"

func readBody(w http.ResponseWriter, r *http.Request, want string, limit int64, buf *bytes.Buffer) error {
	if said := r.Header.Get("Content-Type"); said != want { // as nearly all say
		if kind, _, err := mime.ParseMediaType(said); err != nil || kind != want {
			return Refuse(ErrMediaType, "body of type %.80q, want %s", said, want)
		}
	}
	if r.ContentLength > limit {
		return Refuse(ErrTooLarge, "body of %d bytes, at most %d", r.ContentLength, limit)
	}
	if r.ContentLength > 0 && r.ContentLength <= MaxSmall { // more is believed when it comes
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, limit)); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return Refuse(ErrTooLarge, "body of more than %d bytes", limit)
		}
		return Refuse(ErrBadRequest, "reading the body: %s", err)
	}
	return nil
}

// decode reads one JSON document; unknown keys are ignored, so that newer agents can talk to older services.
func decode(data []byte, into any) error {
	if err := json.Unmarshal(data, into); err != nil {
		return Refuse(ErrBadRequest, "decoding the body: %s", err)
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
