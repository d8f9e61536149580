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

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/atomicfile"
)

// journal is the converge.Journal of a host, one small file. It is written when something is owed, was settled or came
// into force, so a run that changes nothing writes nothing.
type journal struct {
	path string

	mu    sync.Mutex
	doc   journalDoc
	dirty bool // doc is ahead of the disk, because a write failed
}

type journalDoc struct {
	Format int `json:"format"` // 1
	// Pending maps a resource that owes a refresh to those that changed.
	Pending map[string][]string `json:"pending,omitempty"`
	// Enforced maps a resource to the digest of the declaration it was last brought into line with.
	Enforced map[string]string `json:"enforced,omitempty"`
}

// openJournal reads the journal at path. One that cannot be understood is put aside as path.damaged and said in the
// error, beside an empty journal that can be used: enforcement goes on. With look nothing is put aside.
func openJournal(path string, look bool) (*journal, error) {
	j := &journal{path: path, doc: journalDoc{Format: 1, Pending: map[string][]string{}, Enforced: map[string]string{}}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil && !errors.Is(err, unix.EISDIR) {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	var doc journalDoc
	if err == nil {
		err = json.Unmarshal(data, &doc)
	}
	if err == nil && doc.Format != 1 {
		err = errors.New("it is of no format that is known here")
	}
	if err != nil {
		err = fmt.Errorf("reading the journal: it is damaged and put aside, so services may miss a restart that was owed: %w", err)
		if look {
			return j, err
		}
		return j, errors.Join(err, os.Rename(path, path+".damaged"))
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
	if !added && !j.dirty {
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
	if len(j.doc.Pending) == before && !j.dirty {
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

// Forget forgets that declarations were in force, and what they owe themselves: what they changed was taken back.
func (j *journal) Forget(names []string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, name := range names {
		delete(j.doc.Enforced, name)
		delete(j.doc.Pending, name)
	}
	return j.save()
}

// Finish implements converge.Journal.
func (j *journal) Finish(enforced map[string]string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	before := len(j.doc.Pending)
	maps.DeleteFunc(j.doc.Pending, func(name string, _ []string) bool {
		_, declared := enforced[name]
		return !declared // nothing is left that could be refreshed
	})
	if j.inForce(enforced) && len(j.doc.Pending) == before && !j.dirty {
		return nil
	}
	j.doc.Enforced = maps.Clone(enforced)
	maps.DeleteFunc(j.doc.Enforced, func(_, digest string) bool { return digest == "" })
	return j.save()
}

// inForce says whether the journal holds these declarations already, and no others.
func (j *journal) inForce(enforced map[string]string) bool {
	n := 0
	for name, digest := range enforced {
		if digest == "" {
			continue
		}
		if n++; j.doc.Enforced[name] != digest {
			return false
		}
	}
	return n == len(j.doc.Enforced)
}

// save writes the journal. After a failure it is written again by the next call, whatever that has to say: what is only
// in memory must not be taken for durable.
func (j *journal) save() error {
	j.dirty = true
	data, err := json.Marshal(j.doc)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(j.path, data, 0o600); err != nil {
		return err
	}
	j.dirty = false
	return nil
}
