package registry

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
)

// inProcess carries requests to a handler of this process.
type inProcess struct{ r *Registry }

// RoundTrip implements http.RoundTripper.
func (p inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	in := req.Clone(context.WithValue(req.Context(), insider{}, true))
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.RequestURI, in.RemoteAddr, in.Host = in.URL.RequestURI(), "127.0.0.1:0", in.URL.Host
	w := &answer{header: http.Header{}}
	p.r.ServeHTTP(w, in)
	if req.Body != nil {
		_ = req.Body.Close() // a RoundTripper closes it; what it would say was said by reading
	}
	return w.response(req), nil
}

// answer collects what a handler writes.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

func (a *answer) response(req *http.Request) *http.Response {
	a.WriteHeader(http.StatusOK)
	return &http.Response{
		Status: http.StatusText(a.status), StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: io.NopCloser(&a.body), ContentLength: contentLength(a), Request: req,
	}
}

// contentLength is the length a handler announced, as for HEAD, or that of what it wrote.
func contentLength(a *answer) int64 {
	if n, err := strconv.ParseInt(a.header.Get("Content-Length"), 10, 64); err == nil && a.status != http.StatusNoContent {
		return n
	}
	return int64(a.body.Len())
}
