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
	"time"

	"github.com/godbus/dbus/v5"
)

// deafSystemd listens as systemd does, and overlooks the requests of the first connections.
func deafSystemd(t *testing.T, deaf int) dialer {
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
			go converse(c, i < deaf)
		}
	}()
	return func(_ context.Context, opts ...dbus.ConnOption) (*dbus.Conn, error) {
		conn, err := dbus.Dial("unix:path="+path, opts...)
		if err == nil {
			err = conn.Auth([]dbus.Auth{dbus.AuthExternal("0")})
		}
		return conn, err
	}
}

// converse greets, and answers every call with nothing in it; a deaf one only reads.
func converse(c net.Conn, deaf bool) {
	defer c.Close()
	in := bufio.NewReader(c)
	for line := ""; !strings.HasPrefix(line, "BEGIN"); {
		var err error
		if line, err = in.ReadString('\n'); err != nil {
			return
		}
		switch {
		case strings.HasSuffix(line, "AUTH\r\n"): // which ways are there?
			_, _ = c.Write([]byte("REJECTED EXTERNAL\r\n"))
		case strings.Contains(line, "AUTH"):
			_, _ = c.Write([]byte("OK 0123456789abcdef0123456789abcdef\r\n"))
		case strings.HasPrefix(line, "NEGOTIATE"):
			_, _ = c.Write([]byte("AGREE_UNIX_FD\r\n"))
		}
	}
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

func TestGreetTriesAgainWhenSystemdIsDeaf(t *testing.T) {
	t.Parallel()
	conn, err := greet(t.Context(), 20*time.Millisecond, deafSystemd(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if !conn.Connected() {
		t.Error("the connection was closed after it was opened")
	}
	if err := conn.Object(busName, busPath).CallWithContext(t.Context(), ifManager+"Reload", 0).Err; err != nil {
		t.Errorf("a call on the connection: %v", err)
	}
}

func TestGreetGivesUp(t *testing.T) {
	t.Parallel()
	if _, err := greet(t.Context(), time.Millisecond, deafSystemd(t, 1000)); err == nil || !strings.Contains(err.Error(), "did not answer within") {
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
