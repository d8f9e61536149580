package registry

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// What is asked of a client's line: so many bytes in so much time, however long the whole takes. A line of 200 ms that loses a
// fifth of its packets carries a few times that; one that is dead, or pretends to be slow, does not.
const (
	readTime  = time.Minute
	readLeast = 1 << 10 // bytes
	writeTime = 2 * time.Minute
	writeMost = 32 << 10 // bytes that are given that time
)

// intake is the body of a request as it comes in: paced, counted and bounded. After Read has failed, refused says what to
// answer; nil when the client is gone.
type intake struct {
	body    io.ReadCloser
	control *http.ResponseController
	admit   func(n int64) *refusal
	refused *refusal
	broken  bool // it did not come to its end

	paced bool
	got   int64 // since the deadline was set
}

// Read implements io.Reader.
func (b *intake) Read(p []byte) (int, error) {
	if b.refused != nil {
		return 0, io.ErrUnexpectedEOF
	}
	if !b.paced || b.got >= readLeast {
		// Only a connection has deadlines; what has none, such as a test's recorder, does not stall.
		_ = b.control.SetReadDeadline(time.Now().Add(readTime))
		b.paced, b.got = true, 0
	}
	n, err := b.body.Read(p)
	b.got += int64(n)
	if b.refused = b.admit(int64(n)); b.refused != nil {
		return 0, io.ErrUnexpectedEOF
	}
	switch {
	case errors.Is(err, io.EOF):
		_ = b.control.SetReadDeadline(time.Time{})
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.refused = refuse(http.StatusRequestTimeout, codeUpload, forSlow, "", "fewer than %d bytes came in %s", readLeast, readTime)
	case err != nil:
		b.broken = true
	}
	return n, err
}

// Close implements io.Closer.
func (b *intake) Close() error { return b.body.Close() }

// failed says whether what was read is not what the client wanted to send.
func (b *intake) failed() bool { return b != nil && (b.refused != nil || b.broken) }

// reply is an answer as it goes out: paced and counted. Once a body was refused, the refusal takes the place of whatever is
// made of the half of it.
type reply struct {
	http.ResponseWriter
	control *http.ResponseController
	body    *intake // may be nil
	status  int
	bytes   int64
	refused *refusal
}

// Unwrap is for http.ResponseController.
func (w *reply) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *reply) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	_ = w.control.SetWriteDeadline(time.Now().Add(writeTime))
	if w.body != nil && w.body.refused != nil {
		w.refuse(w.body.refused)
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

// refuse answers with a refusal; what is written after it is dropped.
func (w *reply) refuse(f *refusal) {
	w.status, w.refused = f.status, f
	_ = w.control.SetWriteDeadline(time.Now().Add(writeTime))
	f.write(w.ResponseWriter)
}

// Write implements http.ResponseWriter.
func (w *reply) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.refused != nil {
		return len(p), nil
	}
	done := 0
	for first := true; first || done < len(p); first = false {
		part := p[done:min(len(p), done+writeMost)]
		_ = w.control.SetWriteDeadline(time.Now().Add(writeTime))
		n, err := w.ResponseWriter.Write(part)
		done += n
		w.bytes += int64(n)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}
