package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// For is a server of one test, gone with it. Without PostgreSQL the test is skipped, unless VIGO_POSTGRES=1 says that it is to be
// there. dir is where its folder is made; "": where temporary folders are.
func For(t *testing.T, dir string) *Server {
	t.Helper()
	server, err := New(t.Context(), dir)
	there(t, err)
	t.Cleanup(func() {
		if err := server.Remove(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func there(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, ErrNone) && os.Getenv("VIGO_POSTGRES") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Shared is the server of all tests of a package, which is started for the first that asks. It is safe for concurrent use.
type Shared struct {
	mu     sync.Mutex
	server *Server
	err    error
	made   int
}

// Database makes an empty database and returns its address; like [For], a test may be skipped.
func (s *Shared) Database(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil && s.err == nil {
		s.server, s.err = New(context.Background(), "")
	}
	there(t, s.err)
	s.made++
	address, err := s.server.Database(t.Context(), fmt.Sprintf("test%d", s.made))
	there(t, err)
	return address
}

// Main runs the tests, removes the server if there was one, and returns the code to exit with: TestMain calls it.
func (s *Shared) Main(m *testing.M) int {
	code := m.Run()
	if s.server == nil {
		return code
	}
	if err := s.server.Remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
