package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Log is what is verified: entries as they were read, in the order in which they were found, and the checkpoints that go
// with them.
type Log struct {
	Fleet       string       `json:"fleet"`
	CA          string       `json:"ca"`              // PEM certificate of the authority that signs
	Start       *Checkpoint  `json:"start,omitempty"` // nil: the log is whole
	Entries     []Entry      `json:"entries"`
	Checkpoints []Checkpoint `json:"checkpoints"`
}

// The kinds of problems.
const (
	Altered   = "altered"   // an entry does not have its hash, or is not the one its successor was chained to
	Missing   = "missing"   // an entry between others, or at the beginning, is not there
	Reordered = "reordered" // an entry stands where another belongs
	Truncated = "truncated" // entries at the end are not there; a checkpoint has seen them
	Rewritten = "rewritten" // entries were replaced and chained anew; a checkpoint has seen others
	Forged    = "forged"    // a checkpoint was not signed by the authority
	Unsigned  = "unsigned"  // there is no checkpoint that vouches for anything
)

// A Problem is one thing that is wrong with a log.
type Problem struct {
	Kind  string `json:"kind"`
	First int64  `json:"first"` // number of the first entry concerned
	Last  int64  `json:"last"`  // and of the last one
	Text  string `json:"text"`
}

func (p Problem) String() string {
	if p.First == p.Last {
		return fmt.Sprintf("entry %d %s: %s", p.First, p.Kind, p.Text)
	}
	return fmt.Sprintf("entries %d to %d %s: %s", p.First, p.Last, p.Kind, p.Text)
}

// maxProblems bounds what is told; a log that is not this one at all has as many problems as entries.
const maxProblems = 100

// A walk goes along a log.
type walk struct {
	problems []Problem
	hashes   map[int64]string // of the entries that were seen
	next     int64            // number that comes next
	prev     string           // hash that the next one names
	late     []gap            // numbers that were passed over, in order
}

// A gap is a run of numbers.
type gap struct{ first, last int64 }

// Verify walks a log and returns what is wrong with it, first things first; nil when it is whole. check verifies the
// signatures; kept are checkpoints that came another way and at another time, such as out of a log file or a backup.
func (l Log) Verify(check Check, kept ...Checkpoint) []Problem {
	w := &walk{hashes: make(map[int64]string, len(l.Entries)+1), next: 1, prev: genesis}
	if s := l.Start; s != nil {
		if err := s.verify(l.Fleet, check); err != nil || !s.Start {
			w.add(Forged, 1, s.Seq, "the statement that these were forgotten on purpose is not of the authority of the fleet")
		}
		w.next, w.prev = s.Seq+1, s.Hash
		w.hashes[s.Seq] = s.Hash
	}
	begin := w.next
	for _, e := range l.Entries {
		w.entry(e)
	}
	w.passedOver()
	all := append(slices.Clone(l.Checkpoints), kept...)
	slices.SortStableFunc(all, func(a, b Checkpoint) int { return cmp.Compare(a.Seq, b.Seq) })
	vouched := false
	sound := begin // entries before it are vouched for by a checkpoint
	for _, c := range all {
		if err := c.verify(l.Fleet, check); err != nil || c.Start {
			w.add(Forged, c.Seq, c.Seq, fmt.Sprintf("the checkpoint of it is not of the authority of the fleet: %v", err))
			continue
		}
		sound, vouched = w.checkpoint(c, begin, sound), true
	}
	if !vouched && len(l.Entries) > 0 {
		w.add(Unsigned, begin, w.next-1, "no checkpoint of the authority of the fleet comes with them")
	}
	slices.SortStableFunc(w.problems, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.First, b.First), strings.Compare(a.Kind, b.Kind)) })
	return w.problems
}

func (w *walk) add(kind string, first, last int64, text string) {
	said := slices.ContainsFunc(w.problems, func(p Problem) bool { return p.Kind == kind && p.First == first && p.Last == last })
	if len(w.problems) < maxProblems && !said {
		w.problems = append(w.problems, Problem{kind, first, last, text})
	}
}

// entry takes one entry in the order of the log.
func (w *walk) entry(e Entry) {
	_, twice := w.hashes[e.Seq]
	whole := e.Sum() == e.Hash
	switch {
	case e.Seq < w.next: // late, or twice
		text := "it stands after entry " + fmt.Sprint(w.next-1)
		if twice {
			text = "it is there twice"
		}
		w.add(Reordered, e.Seq, e.Seq, text)
		w.arrived(e.Seq)
		if !twice {
			w.hashes[e.Seq] = e.Hash
		}
		if !whole {
			w.add(Altered, e.Seq, e.Seq, "its hash is not that of its content")
		}
		return
	case e.Seq > w.next+maxGap: // not a gap, but a number that is none
		w.add(Altered, e.Seq, e.Seq, fmt.Sprintf("its number is far from %d, which was next", w.next))
		return
	case e.Seq > w.next:
		w.late = append(w.late, gap{w.next, e.Seq - 1})
	case whole && e.Prev != w.prev && e.Seq > 1:
		w.add(Altered, e.Seq-1, e.Seq-1, fmt.Sprintf("entry %d was chained to another one", e.Seq))
	case whole && e.Prev != w.prev:
		w.add(Altered, e.Seq, e.Seq, "the first entry names one before it")
	}
	if !whole {
		w.add(Altered, e.Seq, e.Seq, "its hash is not that of its content")
	}
	w.hashes[e.Seq], w.next, w.prev = e.Hash, e.Seq+1, e.Hash
}

// maxGap bounds the numbers that are looked for after a jump.
const maxGap = 1_000_000

// arrived takes a number that was passed over out of its gap.
func (w *walk) arrived(n int64) {
	at, found := slices.BinarySearchFunc(w.late, n, func(g gap, n int64) int {
		switch {
		case g.last < n:
			return -1
		case g.first > n:
			return 1
		}
		return 0
	})
	if !found {
		return
	}
	g := w.late[at]
	rest := slices.DeleteFunc([]gap{{g.first, n - 1}, {n + 1, g.last}}, func(g gap) bool { return g.first > g.last })
	w.late = slices.Replace(w.late, at, at+1, rest...)
}

// passedOver reports runs of numbers that never came.
func (w *walk) passedOver() {
	for _, g := range w.late {
		text := fmt.Sprintf("entry %d comes after entry %d", g.last+1, g.first-1)
		if g.first == 1 {
			text = fmt.Sprintf("the log begins with entry %d", g.last+1)
		}
		w.add(Missing, g.first, g.last, text)
	}
}

// checkpoint compares the log with a genuine checkpoint, and returns from which entry on nothing is vouched for.
func (w *walk) checkpoint(c Checkpoint, begin, sound int64) int64 {
	hash, there := w.hashes[c.Seq]
	at := c.Time.UTC().Format("2006-01-02 15:04:05Z")
	switch {
	case c.Seq < begin-1: // of what was forgotten
		return sound
	case c.Seq >= w.next:
		w.add(Truncated, w.next, c.Seq, "the checkpoint of "+at+" has seen them")
	case there && hash != c.Hash:
		w.add(Rewritten, min(sound, c.Seq), c.Seq, "the checkpoint of "+at+" has seen others")
	case there:
		return max(sound, c.Seq+1)
	}
	return sound
}
