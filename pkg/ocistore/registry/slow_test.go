package registry_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/ocistore/registry"
)

// line is a listener for one connection without a network, so that its time can be that of a bubble.
type line struct{ conns chan net.Conn }

func (l line) Accept() (net.Conn, error) {
	c, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l line) Close() error   { return nil }
func (l line) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)} }

// connect serves the registry as `vigo up` does, and returns a connection of a client.
func (r *opened) connect(t *testing.T) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	l := line{make(chan net.Conn, 1)}
	l.conns <- theirs
	server := &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 5 * time.Minute, WriteTimeout: 30 * time.Minute, IdleTimeout: 15 * time.Minute}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		close(l.conns)
		_ = ours.Close()
		_ = server.Close()
		<-done
		synctest.Wait()
	})
	return ours
}

// trickle sends a piece at a time, until all is sent, the connection is closed or the test ends.
func trickle(t *testing.T, conn net.Conn, data []byte, piece int, pause time.Duration) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for len(data) > 0 {
			n := min(piece, len(data))
			if _, err := conn.Write(data[:n]); err != nil {
				return
			}
			data = data[n:]
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		_ = conn.Close()
		<-done
	})
}

// upload sends a blob a piece at a time, and returns the answer and how long it took.
func (r *opened) upload(t *testing.T, size, piece int, pause time.Duration) (*http.Response, time.Duration) {
	t.Helper()
	where := r.begin(t)
	conn := r.connect(t)
	data := bytes.Repeat([]byte("x"), size)
	begun := time.Now()
	fmt.Fprintf(conn, "PUT /v2/%s&digest=%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer operator\r\nContent-Length: %d\r\n\r\n", where, bundle.DigestOf(data), size)
	trickle(t, conn, data, piece, pause)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res, time.Since(begun)
}

// TestSlowUploads: a line that carries 100 bytes a second has all the time it needs, far beyond the time the server has for
// ordinary requests; who sends a byte now and then has a minute.
func TestSlowUploads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := open(t, registry.Options{})
		res, took := r.upload(t, 200<<10, 300, 3*time.Second)
		if res.StatusCode != http.StatusCreated || took < 30*time.Minute {
			t.Errorf("a slow line: %d after %s", res.StatusCode, took)
		}
		res, took = r.upload(t, 300<<10, 1, 9*time.Second)
		if res.StatusCode != http.StatusRequestTimeout || took > 2*time.Minute || code(t, res) != "BLOB_UPLOAD_INVALID" {
			t.Errorf("a line that says next to nothing: %d after %s", res.StatusCode, took)
		}
		if left := leftovers(t, r.Dir); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
		r.counts(t, `vigo_registry_refused_total{reason="slow"} 1`, "vigo_registry_uploads 0")
	})
}

// TestASlowManifestKeepsNobodyWaiting: while one arrives, others are served, also when it is time to collect garbage.
func TestASlowManifestKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := open(t, registry.Options{})
		conn := r.connect(t)
		fmt.Fprintf(conn, "PUT /v2/%s/manifests/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer operator\r\nContent-Length: 60000\r\n\r\n", repository)
		trickle(t, conn, bytes.Repeat([]byte(" "), 60000), 600, 30*time.Second)
		time.Sleep(20 * time.Minute) // olareg collects every quarter of an hour
		answered := make(chan int, 1)
		go func() { answered <- r.ask(t, "", "GET", repository+"/manifests/channel-stable", nil).StatusCode }()
		select {
		case status := <-answered:
			if status != http.StatusOK {
				t.Errorf("status %d", status)
			}
		case <-time.After(time.Minute):
			t.Error("nobody is served")
		}
	})
}

// TestSlowReaders: a blob goes out over half an hour to who reads it, and not to who has stopped.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := open(t, registry.Options{})
		d, data := layer(strings.Repeat("a", 1<<20))
		if err := r.store.Push(t.Context(), d, data); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			pause time.Duration
			all   bool
		}{{8 * time.Second, true}, {3 * time.Minute, false}} {
			conn := r.connect(t)
			fmt.Fprintf(conn, "GET /v2/%s/blobs/%s HTTP/1.1\r\nHost: x\r\n\r\n", repository, d.Digest)
			res, err := http.ReadResponse(bufio.NewReaderSize(conn, 4<<10), nil)
			if err != nil {
				t.Fatal(err)
			}
			begun, n := time.Now(), 0
			for piece := make([]byte, 4<<10); ; time.Sleep(c.pause) {
				var m int
				m, err = io.ReadFull(res.Body, piece)
				if n += m; err != nil {
					break
				}
			}
			if (n == 1<<20) != c.all {
				t.Errorf("reading every %s: %d bytes in %s, %v", c.pause, n, time.Since(begun), err)
			}
		}
	})
}
