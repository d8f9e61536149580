package sqlstore

import (
	"encoding/binary"
	"fmt"
	"time"
)

// heard is what a row of the table heard says of one node.
type heard struct {
	node    string
	seen    int64 // ns since 1970
	told    int64
	counter int64
	anew    bool // another machine has the name since: what was said of it before does not count
	silent  bool // nothing was heard; only with anew
}

// after is what is known of a node when h was said after the one before.
func (h heard) after(before heard) heard {
	if h.anew {
		return h
	}
	h.counter = max(h.counter, before.counter)
	h.anew = before.anew
	return h
}

// The bits that a record begins with.
const (
	bitAnew = 1 << iota
	bitSilent
)

// appendHeard writes a record behind others; at is the time of the row.
func appendHeard(b []byte, h heard, at int64) []byte {
	bits := byte(0)
	if h.anew {
		bits |= bitAnew
	}
	if h.silent {
		bits |= bitSilent
	}
	b = binary.AppendUvarint(append(b, bits), uint64(len(h.node)))
	b = append(b, h.node...)
	if h.silent {
		return b
	}
	b = binary.AppendVarint(b, h.seen-at)
	b = binary.AppendVarint(b, h.told)
	return binary.AppendVarint(b, h.counter)
}

// eachHeard reads the records of a row.
func eachHeard(doc []byte, at int64, take func(heard)) error {
	size := len(doc)
	number := func() (n int64, ok bool) {
		n, read := binary.Varint(doc)
		if read <= 0 {
			return 0, false
		}
		doc = doc[read:]
		return n, true
	}
	for len(doc) > 0 {
		bits := doc[0]
		length, read := binary.Uvarint(doc[1:])
		if read <= 0 || bits&^(bitAnew|bitSilent) != 0 || length > uint64(len(doc)-1-read) {
			return fmt.Errorf("record at byte %d of %d: %w", size-len(doc), size, ErrDamaged)
		}
		h := heard{node: string(doc[1+read : 1+read+int(length)]), anew: bits&bitAnew != 0, silent: bits&bitSilent != 0}
		doc = doc[1+read+int(length):]
		ok := true
		for _, into := range []*int64{&h.seen, &h.told, &h.counter} {
			if ok && !h.silent {
				*into, ok = number()
			}
		}
		if !ok {
			return fmt.Errorf("numbers at byte %d of %d: %w", size-len(doc), size, ErrDamaged)
		}
		if !h.silent {
			h.seen += at
		}
		take(h)
	}
	return nil
}

// hot is the record as others see it.
func (h heard) hot() Hot {
	return Hot{Node: h.node, Seen: timeOf(h.seen), Told: time.Duration(h.told), Counter: h.counter}
}
