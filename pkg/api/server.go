package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Backend is what a server is made of. Every field is needed.
type Backend struct {
	Agents    Agents
	Gate      Gate
	Operators Operators
	Admin     Admin
	Fleet     string
	Log       *slog.Logger
	Now       func() time.Time
	// Observe is told of every request that was answered: route pattern, status and duration.
	Observe func(route string, status int, took time.Duration)
}

// server holds the routes.
type server struct{ Backend }

// NewServer returns the handler of all /v1/ routes. It must be served over TLS with client certificates verified when
// given (identity.Server.TLS).
func NewServer(b Backend) http.Handler {
	s := &server{b}
	mux := http.NewServeMux()
	handle := func(pattern string, h func(w http.ResponseWriter, r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(pattern, h, w, r) })
	}
	handle("POST /v1/enroll", s.enroll)
	handle("POST /v1/renew", s.renew)
	handle("POST /v1/checkin", s.checkIn)
	handle("POST /v1/runs", s.runs)
	handle("POST /v1/facets", s.facets)
	handle("GET /v1/status", s.status)
	handle("GET /v1/nodes", s.nodes)
	handle("GET /v1/nodes/{name}", s.node)
	handle("DELETE /v1/nodes/{name}", s.retire)
	handle("GET /v1/traits", s.traits)
	handle("GET /v1/events", s.events)
	handle("GET /v1/tokens", s.tokens)
	handle("POST /v1/tokens", s.createToken)
	handle("DELETE /v1/tokens/{id}", s.revokeToken)
	handle("PUT /v1/channels/{name}", s.putChannel)
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) { s.refuse(w, r, Refuse(ErrNotFound, "no such route")) })
	return mux
}

// serve answers one request with what h returns, as JSON.
func (s *server) serve(route string, h func(http.ResponseWriter, *http.Request) (any, error), w http.ResponseWriter, r *http.Request) {
	began := s.Now()
	status := http.StatusOK
	answer, err := h(w, r)
	if err == nil {
		err = writeJSON(w, http.StatusOK, answer)
		if err != nil {
			s.Log.Debug("answering", "route", route, "err", err)
		}
	} else {
		status = s.refuse(w, r, err)
	}
	s.Observe(route, status, s.Now().Sub(began))
}

// refuse answers with an error; what is not a refusal is logged and stays private.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, err error) int {
	out := wireError(err)
	if out.Code == ErrInternal.Code {
		s.Log.Error("serving", "method", r.Method, "path", r.URL.Path, "err", err)
	} else {
		s.Log.Debug("refusing", "method", r.Method, "path", r.URL.Path, "code", out.Code, "err", err)
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
	if r.ContentLength > limit {
		return nil, Refuse(ErrTooLarge, "body of %d bytes, at most %d", r.ContentLength, limit)
	}
	var buf bytes.Buffer
	if r.ContentLength > 0 {
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
