package identity

// windowSize is how far behind the highest counter a request may arrive: enough for requests that overtake each other on
// several connections.
const windowSize = 64

// A Window remembers which counters of one node were seen: a sliding window of 64 below the highest, as in RFC 4303
// section 3.4.3. The zero Window has seen nothing. It is not safe for concurrent use.
type Window struct {
	highest int64
	seen    uint64 // bit i: highest-i was seen
}

// NewWindow returns a window to which every counter up to and including highest is seen: what to start with when only
// the highest was kept.
func NewWindow(highest int64) Window { return Window{highest: highest, seen: ^uint64(0)} }

// Highest is the highest counter accepted.
func (w *Window) Highest() int64 { return w.highest }

// Accept takes note of a counter, and reports false if it was seen before or is too old to tell.
func (w *Window) Accept(counter int64) bool {
	if counter <= 0 {
		return false
	}
	if counter > w.highest {
		if shift := counter - w.highest; shift >= windowSize {
			w.seen = 0
		} else {
			w.seen <<= uint(shift)
		}
		w.seen |= 1
		w.highest = counter
		return true
	}
	behind := w.highest - counter
	if behind >= windowSize || w.seen&(1<<uint(behind)) != 0 {
		return false
	}
	w.seen |= 1 << uint(behind)
	return true
}
