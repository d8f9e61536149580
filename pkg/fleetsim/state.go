package fleetsim

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/fault"
)

// enrolled is a node or a hub that was enrolled, as it is kept.
type enrolled struct {
	Name        string `json:"name"`
	Key         string `json:"key"`         // PEM
	Certificate string `json:"certificate"` // PEM: of the node alone
	Channel     string `json:"channel,omitempty"`
	Authority   string `json:"authority,omitempty"` // PEM; of hubs, and the same for all
	Hub         bool   `json:"hub,omitempty"`
	// Labels are those that were granted to a node.
	Labels map[string]string `json:"labels,omitempty"`
	// Fleet, Root and Registry are what hubs were told, and the same for all: where pointers are read, and whose signatures count.
	Fleet    string   `json:"fleet,omitempty"`
	Root     []byte   `json:"root,omitempty"`
	Registry []string `json:"registry,omitempty"`
	Retired  bool     `json:"retired,omitempty"`
}

// state is what is kept of a simulated fleet: a file with a line for each enrolment and retirement, the last of a name
// counts. It holds the keys of nodes and is for its owner alone.
type state struct {
	file  *os.File
	nodes map[string]enrolled
	hubs  map[string]enrolled

	mu  sync.Mutex
	out *bufio.Writer
}

// errInUse says that another process simulates with a folder.
var errInUse = fault.WithHint(errors.New("another process simulates with this folder"), "give this one a folder of its own (--state)")

func openState(dir, prefix string) (_ *state, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the simulated fleet: %w", err)
	}
	path := filepath.Join(dir, prefix+".jsonl")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the simulated fleet: %w", err)
	}
	s := &state{file: f, nodes: map[string]enrolled{}, hubs: map[string]enrolled{}, out: bufio.NewWriter(f)}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errInUse
		}
		return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
	}
	if err := s.read(f); err != nil {
		return nil, errors.Join(fault.WithHint(fmt.Errorf("reading %s: %w", path, err), "remove the file; retire the nodes by their names"), f.Close())
	}
	return s, nil
}

// read takes the lines; a last one that was cut when a process was killed is cut off.
func (s *state) read(f *os.File) error {
	in := bufio.NewReader(f)
	whole := int64(0)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return f.Truncate(whole)
		}
		if err != nil {
			return err
		}
		var e enrolled
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("byte %d: %w", whole, err)
		}
		s.take(e)
		whole += int64(len(line))
	}
}

func (s *state) take(e enrolled) {
	all := s.nodes
	if e.Hub {
		all = s.hubs
	}
	if e.Retired {
		delete(all, e.Name)
		return
	}
	all[e.Name] = e
}

// put keeps a line; it is on disk after flush.
func (s *state) put(e enrolled) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(e)
	_, err = s.out.Write(append(line, '\n'))
	return err
}

func (s *state) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Flush()
}

// close ends it; the file of a fleet that is gone goes, too.
func (s *state) close() error {
	err := s.flush()
	if len(s.nodes)+len(s.hubs) == 0 {
		if gone := os.Remove(s.file.Name()); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return errors.Join(err, s.file.Close())
}
