package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"vigo.dev/pkg/atomicfile"
)

// numberStep is how many numbers are reserved on disk at once: a signed request writes to disk only every so often, and a
// crash skips the rest of the step.
const numberStep = 10_000

// Numbers rise for ever, also over crashes: the replay counter of signed requests. They begin at the milliseconds of the
// clock, so they rise also when the file is lost or cannot be written; the file makes them rise when the clock goes back.
type Numbers struct {
	path string
	now  func() time.Time

	mu       sync.Mutex
	next     int64
	reserved int64 // numbers below are reserved on disk
}

type numbersDoc struct {
	Reserved int64 `json:"reserved"`
}

// OpenNumbers reads where the numbers go on. When that cannot be read it is said in the error, beside numbers that go by
// the clock.
func OpenNumbers(path string, now func() time.Time) (*Numbers, error) {
	var doc numbersDoc
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	case err == nil:
		err = json.Unmarshal(data, &doc)
	}
	if err != nil {
		doc, err = numbersDoc{}, fmt.Errorf("reading the request numbers: %w", err)
	}
	return &Numbers{path: path, now: now, next: max(doc.Reserved+1, now().UnixMilli()), reserved: doc.Reserved}, err
}

// Next returns the next number; it is reserved on disk before it is returned, unless it is one that the clock has passed.
func (n *Numbers) Next() (int64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next >= n.reserved {
		upTo := n.next + numberStep
		data, err := json.Marshal(numbersDoc{Reserved: upTo})
		if err == nil {
			err = atomicfile.Write(n.path, append(data, '\n'), 0o600)
		}
		if err != nil && n.next > n.now().UnixMilli() {
			return 0, fmt.Errorf("reserving request numbers: %w", err)
		}
		if err == nil {
			n.reserved = upTo
		}
	}
	number := n.next
	n.next++
	return number, nil
}
