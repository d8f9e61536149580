//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"vigo.dev/pkg/host"
)

// The names of org.freedesktop.systemd1(5).
const (
	busName     = "org.freedesktop.systemd1"
	busPath     = "/org/freedesktop/systemd1"
	ifManager   = "org.freedesktop.systemd1.Manager."
	ifUnit      = "org.freedesktop.systemd1.Unit"
	ifService   = "org.freedesktop.systemd1.Service"
	propertyAll = "org.freedesktop.DBus.Properties.GetAll"

	privateSocket = "/run/systemd/private"
)

// A bus is the connection to systemd. It is opened when first needed and again when it was lost.
type bus struct {
	mu   sync.Mutex
	conn *dbus.Conn
	// jobs takes the ends of jobs, by their path. A job may end before its start was answered, so ends nobody waits
	// for yet are kept until the wait begins.
	jobs *jobs
}

// A connection that does not answer is given up, and another opened: after 2 seconds, and then after twice as long each
// time. systemd answers within milliseconds, unless the machine is very busy, as when it boots.
const (
	greetingTime  = 2 * time.Second
	greetingTries = 4
)

// connected returns the connection. Root talks to systemd directly, as systemctl does: that works before and without
// a message bus.
func (b *bus) connected(ctx context.Context) (*dbus.Conn, *jobs, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil && b.conn.Connected() {
		return b.conn, b.jobs, nil
	}
	conn, err := greet(ctx, greetingTime, dialPrivate, dialSystem)
	if err != nil {
		return nil, nil, fmt.Errorf("connecting to systemd: %w", err)
	}
	b.conn, b.jobs = conn, watchJobs(conn)
	return b.conn, b.jobs, nil
}

// greet opens a connection that answers; limit is the time given to the first.
func greet(ctx context.Context, limit time.Duration, dialers ...dialer) (conn *dbus.Conn, err error) {
	for range greetingTries {
		var late bool
		if conn, late, err = openBus(ctx, limit, dialers...); err == nil || !late {
			return conn, err
		}
		limit *= 2
	}
	return nil, err
}

// A dialer opens a connection and makes systemd send signals over it.
type dialer func(ctx context.Context, opts ...dbus.ConnOption) (*dbus.Conn, error)

// openBus opens a connection by the first of the dialers that can, within a time; late says that this time was over.
func openBus(ctx context.Context, limit time.Duration, dialers ...dialer) (conn *dbus.Conn, late bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, context.Cause(ctx)
	}
	// The connection outlives the opening, and ends with life: what blocks without a context is ended by that.
	life, end := context.WithCancel(context.Background())
	opening, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stop := context.AfterFunc(opening, end)
	opts := []dbus.ConnOption{dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()), dbus.WithContext(life)}
	for _, dial := range dialers {
		if conn, err = dial(opening, opts...); err != nil {
			continue
		}
		call := conn.Object(busName, busPath).CallWithContext(opening, ifManager+"Subscribe", 0)
		if err = call.Err; err == nil || isBusError(err, "AlreadySubscribed") {
			if stop() {
				return conn, false, nil
			}
			err = opening.Err()
		}
		break // it is systemd that would not answer
	}
	end()
	switch {
	case ctx.Err() != nil:
		return nil, false, context.Cause(ctx)
	case opening.Err() != nil:
		return nil, true, fmt.Errorf("it did not answer within %s", limit)
	}
	return nil, false, err
}

func dialSystem(_ context.Context, opts ...dbus.ConnOption) (*dbus.Conn, error) {
	conn, err := dbus.ConnectSystemBus(opts...)
	if err != nil {
		return nil, err
	}
	// A message bus passes signals only to those who ask.
	return conn, conn.AddMatchSignal(dbus.WithMatchInterface("org.freedesktop.systemd1.Manager"), dbus.WithMatchMember("JobRemoved"))
}

func dialPrivate(ctx context.Context, opts ...dbus.ConnOption) (*dbus.Conn, error) {
	if os.Geteuid() != 0 {
		return nil, os.ErrPermission
	}
	return dialSocket(ctx, privateSocket, opts...)
}

// dialSocket connects to systemd without a message bus in between. systemd overlooks a request that it reads together with
// the end of the greeting, and answers it when the next one comes, so the end must have been read before anything is sent.
func dialSocket(ctx context.Context, path string, opts ...dbus.ConnOption) (*dbus.Conn, error) {
	var d net.Dialer
	socket, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	conn, err := dbus.NewConn(socket, opts...)
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	if err = conn.Auth([]dbus.Auth{dbus.AuthExternal("0")}); err == nil {
		err = untilRead(ctx, socket.(*net.UnixConn))
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// untilRead waits until the other side has read all that was sent. The kernel has no event for that.
func untilRead(ctx context.Context, socket *net.UnixConn) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		var unread int
		var asked error
		if err := raw.Control(func(fd uintptr) { unread, asked = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); err != nil {
			return err
		}
		if asked != nil || unread == 0 {
			return asked
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *bus) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn == nil {
		return nil
	}
	err := b.conn.Close()
	b.conn = nil
	if errors.Is(err, dbus.ErrClosed) {
		return nil
	}
	return err
}

// call calls a method of the manager and stores the answer.
func (b *bus) call(ctx context.Context, method string, args []any, into ...any) error {
	conn, _, err := b.connected(ctx)
	if err != nil {
		return err
	}
	call := conn.Object(busName, busPath).CallWithContext(ctx, ifManager+method, 0, args...)
	if call.Err != nil {
		return busFailed(call.Err)
	}
	if len(into) == 0 {
		return nil // what it answers does not matter
	}
	return call.Store(into...)
}

// properties reads all properties of one interface of a unit.
func (b *bus) properties(ctx context.Context, unit dbus.ObjectPath, iface string) (map[string]dbus.Variant, error) {
	conn, _, err := b.connected(ctx)
	if err != nil {
		return nil, err
	}
	props := map[string]dbus.Variant{}
	call := conn.Object(busName, unit).CallWithContext(ctx, propertyAll, 0, iface)
	if call.Err != nil {
		return nil, busFailed(call.Err)
	}
	return props, call.Store(&props)
}

// job starts a job on a unit and waits until it is done. The result is systemd's word: done, failed, timeout, …
func (b *bus) job(ctx context.Context, method, unit string) (string, error) {
	_, jobs, err := b.connected(ctx)
	if err != nil {
		return "", err
	}
	var path dbus.ObjectPath
	release := jobs.expect()
	defer release()
	if err := b.call(ctx, method, []any{unit, "replace"}, &path); err != nil {
		return "", err
	}
	return jobs.wait(ctx, path)
}

// jobs hands the ends of jobs to those who wait for them.
type jobs struct {
	mu       sync.Mutex
	waiting  int // how many may ask for ends that came already
	ended    map[dbus.ObjectPath]string
	changed  chan struct{} // closed and replaced at every end
	lost     chan struct{} // closed when the connection is
	lostOnce sync.Once
}

func watchJobs(conn *dbus.Conn) *jobs {
	j := &jobs{ended: map[dbus.ObjectPath]string{}, changed: make(chan struct{}), lost: make(chan struct{})}
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	go func() {
		for s := range signals { // closed with the connection
			var id uint32
			var path dbus.ObjectPath
			var unit, result string
			if s.Name == ifManager+"JobRemoved" && dbus.Store(s.Body, &id, &path, &unit, &result) == nil {
				j.end(path, result)
			}
		}
		j.lostOnce.Do(func() { close(j.lost) })
	}()
	return j
}

func (j *jobs) expect() (release func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.waiting++
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.waiting--; j.waiting == 0 {
			clear(j.ended)
		}
	}
}

func (j *jobs) end(path dbus.ObjectPath, result string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.waiting == 0 {
		return
	}
	j.ended[path] = result
	close(j.changed)
	j.changed = make(chan struct{})
}

func (j *jobs) wait(ctx context.Context, path dbus.ObjectPath) (string, error) {
	for {
		j.mu.Lock()
		result, ok := j.ended[path]
		changed := j.changed
		j.mu.Unlock()
		if ok {
			return result, nil
		}
		select {
		case <-changed:
		case <-j.lost:
			return "", errors.New("the connection to systemd was lost")
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

func isBusError(err error, name string) bool {
	var de dbus.Error
	return errors.As(err, &de) && de.Name == busName+"."+name
}

// busFailed puts the sentinels of package host into an answer.
func busFailed(err error) error {
	for _, name := range []string{"NoSuchUnit", "NoSuchUnitFile"} {
		if isBusError(err, name) {
			return fmt.Errorf("%w: %w", host.ErrNotFound, err)
		}
	}
	var de dbus.Error
	if errors.As(err, &de) && de.Name == "org.freedesktop.DBus.Error.FileNotFound" {
		return fmt.Errorf("%w: %w", host.ErrNotFound, err)
	}
	return err
}
