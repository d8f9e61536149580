package ocistore

import (
	"io"
	"net/http"
	"strconv"
)

// noClose is a body in memory.
type noClose struct{ io.Reader }

// Close implements io.Closer.
func (noClose) Close() error { return nil }

// contentLength is the length a handler announced, as for HEAD, or that of what it wrote.
func contentLength(a *answer) int64 {
	if n, err := strconv.ParseInt(a.header.Get("Content-Length"), 10, 64); err == nil && a.status != http.StatusNoContent {
		return n
	}
	return int64(a.body.Len())
}
