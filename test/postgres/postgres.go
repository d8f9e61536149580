// Package postgres runs a PostgreSQL server for a test: in a folder of its own, on a port of loopback, gone with the test.
//
// It refuses to use a server that is there already, and to keep anything.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"vigo.dev/test/loopback"
)

// ErrNone says that this machine has no PostgreSQL server: Debian's package postgresql.
var ErrNone = errors.New("no PostgreSQL server is installed (Debian: postgresql)")

// A Server is a cluster of databases. Its methods are not for concurrent use.
type Server struct {
	programs string              // folder of them
	dir      string              // data
	address  string              // host and port
	as       *syscall.Credential // who it runs as; nil: who the test runs as
	running  *exec.Cmd
}

// Installed reports whether this machine has a server.
func Installed() bool {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	return err == nil && len(found) > 0
}

// New makes a cluster in a new folder inside dir, and starts it. [ErrNone]. Remove it.
func New(ctx context.Context, dir string) (*Server, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return nil, errors.Join(ErrNone, err)
	}
	s := &Server{programs: filepath.Dir(slices.Max(found))}
	if os.Getuid() == 0 && !open(os.TempDir()) {
		dir = "/tmp" // the folders of this test are for root alone, and the server is not root
	}
	if s.dir, err = os.MkdirTemp(dir, "postgres-"); err != nil {
		return nil, err
	}
	if err := errors.Join(s.identify(), s.init(ctx)); err != nil {
		return nil, fmt.Errorf("making a PostgreSQL cluster: %w", err)
	}
	return s, s.Start(ctx)
}

// open says whether everybody may enter a folder.
func open(dir string) bool {
	for ; dir != "/" && dir != "."; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode()&0o001 == 0 {
			return false
		}
	}
	return true
}

// identify finds somebody to run as: the server refuses to run as root.
func (s *Server) identify() error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return err
	}
	s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for at := s.dir; at != "/" && at != "/tmp" && at != os.TempDir(); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil { // the test's folders are for its own user alone
			return err
		}
	}
	return os.Chown(s.dir, int(uid), int(gid))
}

func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.programs, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (s *Server) init(ctx context.Context) error {
	var err error
	if s.address, err = loopback.Free(); err != nil {
		return err
	}
	out, err := s.command(ctx, "initdb", "--pgdata=data", "--username=vigo", "--auth=trust", "--encoding=UTF8", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	// What initdb writes is for 127.0.0.1 alone.
	return os.WriteFile(filepath.Join(s.dir, "data", "pg_hba.conf"), []byte("host all all 127.0.0.0/8 trust\n"), 0o600)
}

// Start starts the server again, and returns when it takes connections.
func (s *Server) Start(ctx context.Context) error {
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	s.running = s.command(context.WithoutCancel(ctx), "postgres", "-D", "data", "-p", port,
		"-c", "listen_addresses="+host, "-c", "unix_socket_directories=", "-c", "max_connections=50")
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	s.running.Stdout, s.running.Stderr = log, log
	if err := s.running.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		c, err := pgx.Connect(ctx, s.Address("postgres"))
		if err == nil {
			return c.Close(ctx)
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(log.Name())
			return fmt.Errorf("waiting for PostgreSQL: %w: %s", err, said)
		case <-time.After(50 * time.Millisecond): // it tells nobody when it is ready
		}
	}
}

// Kill ends the server at once, as a power cut of its machine does to who is connected.
func (s *Server) Kill() error { return s.end(syscall.SIGQUIT) }

// Stop ends the server and waits for it.
func (s *Server) Stop() error { return s.end(syscall.SIGINT) }

// Remove stops the server and takes its folder away.
func (s *Server) Remove() error { return errors.Join(s.Stop(), os.RemoveAll(s.dir)) }

func (s *Server) end(how syscall.Signal) error {
	if s.running == nil {
		return nil
	}
	if err := s.running.Process.Signal(how); err != nil {
		return err
	}
	err := s.running.Wait()
	s.running = nil
	var exit *exec.ExitError
	if errors.As(err, &exit) { // it was told to
		return nil
	}
	return err
}

// Database makes a database and returns its address.
func (s *Server) Database(ctx context.Context, name string) (string, error) {
	c, err := pgx.Connect(ctx, s.Address("postgres"))
	if err != nil {
		return "", err
	}
	_, err = c.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	return s.Address(name), errors.Join(err, c.Close(ctx))
}

// Address is that of a database of the server.
func (s *Server) Address(name string) string {
	return fmt.Sprintf("postgres://vigo@%s/%s?sslmode=disable", s.address, name)
}
