//go:build linux

package machine

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// settled is how old the last change of a file must be before its digest is kept: a change within the same tick
	// of the clock of the file system would not be seen. Two seconds is the coarsest tick in use (FAT).
	settled = 2 * time.Second
	// maxDigests bounds the memory of the cache: about 150 bytes each.
	maxDigests = 200_000
)

// A fileKey is what changes whenever the content of a file does.
type fileKey struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
}

type digestEntry struct {
	sum  [sha256.Size]byte
	read time.Time
}

// digests remembers the digests of files from run to run.
type digests struct {
	now    func() time.Time
	rehash time.Duration
	bufs   sync.Pool
	// hits says whether the last digest that was asked for was known: the next may then be found by the name of the
	// file alone, without opening it.
	hits atomic.Bool

	mu    sync.Mutex
	known map[fileKey]digestEntry
}

func newDigests(now func() time.Time, rehash time.Duration) *digests {
	return &digests{
		now: now, rehash: rehash, known: map[fileKey]digestEntry{},
		bufs: sync.Pool{New: func() any { return new([64 << 10]byte) }},
	}
}

func keyOf(st *unix.Stat_t) fileKey {
	return fileKey{dev: uint64(st.Dev), ino: st.Ino, size: st.Size, mtime: st.Mtim, ctime: st.Ctim}
}

// of returns the digest of an open regular file, whose status st was taken after it was opened.
func (d *digests) of(fd int, st *unix.Stat_t) (string, error) {
	if digest, ok := d.lookup(st); ok {
		d.hits.Store(true)
		return digest, nil
	}
	key, now := keyOf(st), d.now()
	entry := digestEntry{read: now}
	if err := d.sum(fd, st.Size, &entry.sum); err != nil {
		return "", err
	}
	if d.rehash < 0 || now.Sub(time.Unix(st.Ctim.Unix())) <= settled {
		return name(entry.sum), nil
	}
	var after unix.Stat_t
	if unix.Fstat(fd, &after) == nil && keyOf(&after) == key {
		d.keep(key, entry)
	}
	return name(entry.sum), nil
}

// sum reads a file to its end. One that has a size ends there: asking once more whether that is so would be a third of
// the work for a small file. Files of /proc have none and are read until nothing comes.
func (d *digests) sum(fd int, size int64, into *[sha256.Size]byte) error {
	h := sha256.New()
	buf := d.bufs.Get().(*[64 << 10]byte)
	defer d.bufs.Put(buf)
	for got := int64(0); size == 0 || got < size; {
		n, err := retry(func() (int, error) { return unix.Read(fd, buf[:]) })
		if err != nil {
			return err
		}
		if n == 0 {
			break // shorter than its status said: it was cut meanwhile
		}
		h.Write(buf[:n])
		got += int64(n)
	}
	h.Sum(into[:0])
	return nil
}

// lookup returns the digest of the file with a status, if it is known and not too old.
func (d *digests) lookup(st *unix.Stat_t) (string, bool) {
	d.mu.Lock()
	entry, ok := d.known[keyOf(st)]
	d.mu.Unlock()
	if !ok {
		return "", false
	}
	age := d.now().Sub(entry.read)
	return name(entry.sum), age >= 0 && age < d.rehash
}

func (d *digests) keep(key fileKey, entry digestEntry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.known) >= maxDigests {
		clear(d.known)
	}
	d.known[key] = entry
}

func name(sum [sha256.Size]byte) string {
	const name = "sha256:"
	var out [len(name) + 2*sha256.Size]byte
	hex.Encode(out[copy(out[:], name):], sum[:])
	return string(out[:])
}
