//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/godbus/dbus/v5"

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

// connected returns the connection. Root talks to systemd directly, as systemctl does: that works before and without
// a message bus.
func (b *bus) connected() (*dbus.Conn, *jobs, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil && b.conn.Connected() {
		return b.conn, b.jobs, nil
	}
	handler := dbus.WithSignalHandler(dbus.NewSequentialSignalHandler())
	conn, err := dialPrivate(handler)
	direct := err == nil
	if !direct {
		conn, err = dbus.ConnectSystemBus(handler)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("connecting to systemd: %w", err)
	}
	if !direct { // a message bus passes signals only to those who ask
		err = conn.AddMatchSignal(dbus.WithMatchInterface("org.freedesktop.systemd1.Manager"), dbus.WithMatchMember("JobRemoved"))
		if err != nil {
			conn.Close()
			return nil, nil, fmt.Errorf("connecting to systemd: %w", err)
		}
	}
	if err := conn.Object(busName, busPath).Call(ifManager+"Subscribe", 0).Err; err != nil && !isBusError(err, "AlreadySubscribed") {
		conn.Close()
		return nil, nil, fmt.Errorf("connecting to systemd: %w", err)
	}
	b.conn, b.jobs = conn, watchJobs(conn)
	return b.conn, b.jobs, nil
}

func dialPrivate(opts ...dbus.ConnOption) (*dbus.Conn, error) {
	if os.Geteuid() != 0 {
		return nil, os.ErrPermission
	}
	conn, err := dbus.Dial("unix:path="+privateSocket, opts...)
	if err != nil {
		return nil, err
	}
	if err := conn.Auth([]dbus.Auth{dbus.AuthExternal("0")}); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
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
	conn, _, err := b.connected()
	if err != nil {
		return err
	}
	call := conn.Object(busName, busPath).CallWithContext(ctx, ifManager+method, 0, args...)
	if call.Err != nil {
		return busFailed(call.Err)
	}
	return call.Store(into...)
}

// properties reads all properties of one interface of a unit.
func (b *bus) properties(ctx context.Context, unit dbus.ObjectPath, iface string) (map[string]dbus.Variant, error) {
	conn, _, err := b.connected()
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
	_, jobs, err := b.connected()
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
