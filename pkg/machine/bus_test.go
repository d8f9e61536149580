//go:build linux

package machine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godbus/dbus/v5"
)

// deafSystemd listens as systemd does, and overlooks the requests of the first connections.
func deafSystemd(t *testing.T, deaf int) dialer {
	t.Helper()
	return listen(t, func(c net.Conn, i int) {
		if in := bufio.NewReader(c); greeted(in, c) {
			answer(in, c, i < deaf)
		}
	})
}

// listen hands connections to serve, with their number, and returns how to connect.
func listen(t *testing.T, serve func(c net.Conn, i int)) dialer {
	t.Helper()
	path := filepath.Join(t.TempDir(), "private")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for i := 0; ; i++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c, i)
			}()
		}
	}()
	return func(ctx context.Context, opts ...dbus.ConnOption) (*dbus.Conn, error) {
		return dialSocket(ctx, path, opts...)
	}
}

// greeted is the greeting, to its end.
func greeted(in *bufio.Reader, c net.Conn) bool {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return false
		}
		switch {
		case strings.HasPrefix(line, "BEGIN"):
			return true
		case strings.HasSuffix(line, "AUTH\r\n"): // which ways are there?
			_, _ = c.Write([]byte("REJECTED EXTERNAL\r\n"))
		case strings.Contains(line, "AUTH"):
			_, _ = c.Write([]byte("OK 0123456789abcdef0123456789abcdef\r\n"))
		}
	}
}

// answer answers every call with nothing in it; a deaf one only reads.
func answer(in *bufio.Reader, c net.Conn, deaf bool) {
	for serial := uint32(1); ; serial++ {
		call, err := dbus.DecodeMessage(in)
		if err != nil {
			return
		}
		if deaf {
			continue
		}
		reply := &dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldReplySerial: dbus.MakeVariant(call.Serial()),
		}}
		var out bytes.Buffer
		if err := reply.EncodeTo(&out, binary.LittleEndian); err != nil {
			return
		}
		data := out.Bytes()
		binary.LittleEndian.PutUint32(data[8:], serial) // where the serial number is; it must not be 0
		if _, err := c.Write(data); err != nil {
			return
		}
	}
}

// TestGreetTriesAgainWhenSystemdIsDeaf is in a clock of its own: the third connection answers in time however busy this machine is.
func TestGreetTriesAgainWhenSystemdIsDeaf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began, opened := time.Now(), 0
		dial := func(_ context.Context, opts ...dbus.ConnOption) (*dbus.Conn, error) {
			near, far := net.Pipe()
			deaf := opened < 2
			opened++
			go func() {
				defer far.Close()
				if in := bufio.NewReader(far); greeted(in, far) {
					answer(in, far, deaf)
				}
			}()
			conn, err := dbus.NewConn(near, opts...)
			if err != nil {
				return nil, err
			}
			return conn, conn.Auth([]dbus.Auth{dbus.AuthExternal("0")})
		}
		conn, err := greet(t.Context(), time.Second, dial)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if took := time.Since(began); opened != 3 || took != 3*time.Second {
			t.Errorf("it was connected after %d tries and %s, want 3 and one second and then two", opened, took)
		}
		if !conn.Connected() {
			t.Error("the connection was closed after it was opened")
		}
		if err := conn.Object(busName, busPath).CallWithContext(t.Context(), ifManager+"Reload", 0).Err; err != nil {
			t.Errorf("a call on the connection: %v", err)
		}
	})
}

// late reads as a busy systemd does: what has come after a while, at once.
type late struct{ net.Conn }

// Read implements io.Reader.
func (l late) Read(p []byte) (int, error) {
	time.Sleep(20 * time.Millisecond)
	return l.Conn.Read(p)
}

func TestNothingIsSentBeforeTheGreetingIsRead(t *testing.T) {
	t.Parallel()
	dial := listen(t, func(c net.Conn, _ int) {
		in := bufio.NewReader(late{c})
		if !greeted(in, c) {
			return
		}
		if overlooked := in.Buffered(); overlooked > 0 {
			t.Errorf("%d bytes came with the end of the greeting: systemd would overlook them", overlooked)
		}
		answer(in, c, false)
	})
	conn, err := greet(t.Context(), time.Minute, dial)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestGreetGivesUp(t *testing.T) {
	t.Parallel()
	if _, err := greet(t.Context(), 200*time.Millisecond, deafSystemd(t, 1000)); err == nil || !strings.Contains(err.Error(), "did not answer within") {
		t.Errorf("a systemd that never answers: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the run is over")
	time.AfterFunc(20*time.Millisecond, func() { cancel(why) })
	if _, err := greet(ctx, time.Hour, deafSystemd(t, 1000)); !errors.Is(err, why) {
		t.Errorf("a wait that was ended: %v, want %v", err, why)
	}
	dialers := []dialer{
		func(context.Context, ...dbus.ConnOption) (*dbus.Conn, error) { return nil, errors.New("not for you") },
		deafSystemd(t, 0),
	}
	conn, err := greet(t.Context(), time.Minute, dialers...)
	if err != nil {
		t.Fatalf("the second way to systemd: %v", err)
	}
	conn.Close()
}
