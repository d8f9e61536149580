package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/fault"
)

// The files of the state directory. All are written atomically; the directory is 0700.
const (
	enrolmentFile = "enrolment.json" // who this node is, whom it trusts and where it pulls from
	keyFile       = "node.key"       // Ed25519, PKCS#8 PEM, 0600
	certFile      = "node.crt"       // client certificate chain
	caFile        = "ca.crt"         // the fleet's CA, pinned at enrolment
	rootFile      = "root.json"      // the trust root
	trustFile     = "trust.json"     // newest pointer accepted for the channel, and what is enforced; see trustDoc
	counterFile   = "counter.json"   // of signed requests
	journalFile   = "journal.json"
	guardFile     = "guard.json"  // what guarded resources have changed and how it was before, 0600
	pinFile       = "pinned.json" // an operator of the node has it stay with what it has
	retryFile     = "retry"       // an operator wants what was taken back to be tried again
	lockFile      = "lock"
	cacheDir      = "cache"
	spoolDir      = "spool"
)

// An Enrolment is what a node was told when it enrolled.
type Enrolment struct {
	Node     string            `json:"node"`
	Fleet    string            `json:"fleet"`
	Channel  string            `json:"channel"`
	Labels   map[string]string `json:"labels,omitempty"`
	Server   string            `json:"server"`            // URL of the report service, or of the hub of its site
	Servers  []string          `json:"servers,omitempty"` // to ask in order while Server does not answer
	Mirrors  []string          `json:"mirrors,omitempty"` // references to pull from first, in order
	Registry []string          `json:"registry"`          // references to pull from, in order, as the service has told
	Interval time.Duration     `json:"interval"`
	Enrolled time.Time         `json:"enrolled,omitzero"` // by the clock of this host; zero: before that was kept
}

// State is the state directory of an agent.
type State struct{ dir string }

// OpenState makes the directory if it is missing.
func OpenState(dir string) (State, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		err = fmt.Errorf("opening the state directory: %w", err)
		if errors.Is(err, fs.ErrPermission) {
			err = fault.WithHint(err, "run it as root, or give it a folder of its own with --state")
		}
		return State{}, err
	}
	return State{dir}, nil
}

// Path returns the path of a file of the state directory.
func (s State) Path(name string) string { return filepath.Join(s.dir, name) }

// Lock takes the lock that keeps two runs apart, and clears away what interrupted writes have left; it is held until
// release or the end of the process, however that comes. ErrLocked if another process holds it.
func (s State) Lock() (release func(), err error) {
	f, err := os.OpenFile(s.Path(lockFile), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("taking the lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("taking the lock: %w", err)
	}
	// Not before: what looks left over may be a write of the one who held the lock.
	if err := atomicfile.Sweep(s.dir); err != nil {
		f.Close()
		return nil, fmt.Errorf("clearing the state directory: %w", err)
	}
	return func() { f.Close() }, nil
}

// ErrLocked says that another agent runs on this state directory.
var ErrLocked = errors.New("another agent holds the lock of the state directory")

// readJSON reads a file of the state directory; found is false when it is not there.
func (s State) readJSON(name string, into any) (found bool, err error) {
	data, err := os.ReadFile(s.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", name, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return false, fmt.Errorf("reading %s: %w", name, err)
	}
	return true, nil
}

func (s State) writeJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return atomicfile.Write(s.Path(name), append(data, '\n'), 0o600)
}
