package report

import (
	"cmp"
	"path"
	"strconv"
	"strings"
)

// matchName reports whether a name matches a glob; a glob that is malformed matches nothing.
func matchName(glob, name string) bool {
	ok, err := path.Match(glob, name)
	return err == nil && ok
}

// ComparePointers orders two pointer versions such as "3.1412"; what is not a version is before all others.
func ComparePointers(a, b string) int {
	ae, as := splitPointer(a)
	be, bs := splitPointer(b)
	if ae != be {
		return cmp.Compare(ae, be)
	}
	return cmp.Compare(as, bs)
}

func splitPointer(s string) (epoch, seq int64) {
	e, n, _ := strings.Cut(s, ".")
	epoch, errE := strconv.ParseInt(e, 10, 64)
	seq, errN := strconv.ParseInt(n, 10, 64)
	if errE != nil || errN != nil {
		return -1, -1
	}
	return epoch, seq
}

// DigestState judges a node that enforces a bundle, having accepted a pointer version, against what its channel says.
func DigestState(bundle, pointer string, note ChannelNote) Digest {
	switch {
	case note.Digest == "":
		return DigestUnknown
	case bundle == note.Digest:
		return DigestCurrent
	case note.Candidate != "" && bundle == note.Candidate:
		return DigestCandidate
	case ComparePointers(pointer, note.Pointer) > 0:
		return DigestAhead
	}
	return DigestBehind
}
