package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"sort"
	"sync"

	"vigo.dev/pkg/atomicfile"
)

// journal is the converge.Journal of a host, one small file. It is written when something is owed, was settled or came
// into force, so a run that changes nothing writes nothing.
type journal struct {
	path string

	mu  sync.Mutex
	doc journalDoc
}

type journalDoc struct {
	Format int `json:"format"` // 1
	// Pending maps a resource that owes a refresh to those that changed.
	Pending map[string][]string `json:"pending,omitempty"`
	// Enforced maps a resource to the digest of the declaration it was last brought into line with.
	Enforced map[string]string `json:"enforced,omitempty"`
}

// openJournal reads the journal at path. One that cannot be understood is put aside as path.damaged and said in the
// error, beside an empty journal that can be used: enforcement goes on.
func openJournal(path string) (*journal, error) {
	j := &journal{path: path, doc: journalDoc{Format: 1, Pending: map[string][]string{}, Enforced: map[string]string{}}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	var doc journalDoc
	if err := json.Unmarshal(data, &doc); err != nil || doc.Format != 1 {
		aside := path + ".damaged"
		return j, errors.Join(fmt.Errorf("reading the journal: it is damaged and was put aside as %s: %w", aside, err), os.Rename(path, aside))
	}
	if doc.Pending != nil {
		j.doc.Pending = doc.Pending
	}
	if doc.Enforced != nil {
		j.doc.Enforced = doc.Enforced
	}
	return j, nil
}

// Pending implements converge.Journal.
func (j *journal) Pending(name string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.doc.Pending[name]) > 0
}

// PendingCount is the number of resources that owe a refresh.
func (j *journal) PendingCount() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.doc.Pending)
}

// Notify implements converge.Journal.
func (j *journal) Notify(by string, targets []string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	added := false
	for _, target := range targets {
		owed := j.doc.Pending[target]
		if at := sort.SearchStrings(owed, by); at == len(owed) || owed[at] != by {
			owed = append(owed, by)
			sort.Strings(owed)
			j.doc.Pending[target] = owed
			added = true
		}
	}
	if !added {
		return nil
	}
	return j.save()
}

// Settle implements converge.Journal.
func (j *journal) Settle(targets []string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	before := len(j.doc.Pending)
	for _, target := range targets {
		delete(j.doc.Pending, target)
	}
	if len(j.doc.Pending) == before {
		return nil
	}
	return j.save()
}

// Enforced implements converge.Journal.
func (j *journal) Enforced(name string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.doc.Enforced[name]
}

// Finish implements converge.Journal.
func (j *journal) Finish(enforced map[string]string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if maps.Equal(j.doc.Enforced, enforced) {
		return nil
	}
	j.doc.Enforced = maps.Clone(enforced)
	return j.save()
}

func (j *journal) save() error {
	data, err := json.Marshal(j.doc)
	if err != nil {
		return err
	}
	return atomicfile.Write(j.path, data, 0o600)
}
