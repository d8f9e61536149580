package report

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// DecodeCheckIn reads a check-in from JSON in place of what is in c. What agents write every interval is read by hand, in a quarter of the
// time that encoding/json takes: a service reads thousands in a second. Whatever is written otherwise, encoding/json reads, with the
// same result. Unknown keys are ignored.
func DecodeCheckIn(data []byte, c *CheckIn) error {
	*c = CheckIn{}
	if usualCheckIn(data, c) {
		return nil
	}
	*c = CheckIn{}
	return json.Unmarshal(data, c)
}

// usualCheckIn reads a check-in that has each of its keys at most once, no blanks, and no text that is escaped or not ASCII. It reports
// false for any other, which may be right and may be wrong.
func usualCheckIn(data []byte, c *CheckIn) bool {
	p, seen := scanner{data}, uint32(0)
	ok := p.object(func(key []byte) bool {
		switch string(key) {
		case "node":
			return once(&seen, 0) && p.text(&c.Node)
		case "seq":
			return once(&seen, 1) && p.number(&c.Seq)
		case "boot":
			return once(&seen, 2) && p.text(&c.Boot)
		case "agent":
			return once(&seen, 3) && p.text(&c.Agent)
		case "interval":
			return once(&seen, 4) && p.number((*int64)(&c.Interval))
		case "channel":
			return once(&seen, 5) && p.text(&c.Channel)
		case "root":
			return once(&seen, 6) && p.number(&c.Root)
		case "pointer":
			return once(&seen, 7) && p.text(&c.Pointer)
		case "bundle":
			return once(&seen, 8) && p.text(&c.Bundle)
		case "age":
			return once(&seen, 9) && p.number((*int64)(&c.Age))
		case "adopting":
			return once(&seen, 10) && p.text(&c.Adopting)
		case "run":
			return once(&seen, 11) && p.summary(&c.Run)
		case "traits":
			return once(&seen, 12) && p.text(&c.Traits)
		case "facets":
			return once(&seen, 13) && p.texts(&c.Facets)
		case "spooled":
			return once(&seen, 14) && p.small(&c.Spooled)
		case "hub":
			return once(&seen, 15) && p.text(&c.Hub)
		case "pinned":
			return once(&seen, 16) && p.truth(&c.Pinned)
		case "why":
			return once(&seen, 17) && p.text(&c.Why)
		}
		return false
	})
	return ok && len(p.rest) == 0
}

func (p *scanner) summary(s *Summary) bool {
	seen := uint32(0)
	return p.object(func(key []byte) bool {
		switch string(key) {
		case "id":
			return once(&seen, 0) && p.text(&s.ID)
		case "started":
			return once(&seen, 1) && p.time(&s.Started)
		case "took":
			return once(&seen, 2) && p.number((*int64)(&s.Took))
		case "counts":
			return once(&seen, 3) && p.counts(&s.Counts)
		case "error":
			return once(&seen, 4) && p.text(&s.Error)
		case "before":
			return once(&seen, 5) && p.truth(&s.Before)
		}
		return false
	})
}

func (p *scanner) counts(c *Counts) bool {
	seen := uint32(0)
	return p.object(func(key []byte) bool {
		for i, of := range [...]struct {
			name string
			n    *int
		}{{"ok", &c.OK}, {"changed", &c.Changed}, {"corrected", &c.Corrected}, {"failed", &c.Failed}, {"skipped", &c.Skipped}, {"drift", &c.Drift}, {"refreshed", &c.Refreshed}, {"waiting", &c.Waiting}} {
			if of.name == string(key) {
				return once(&seen, i) && p.small(of.n)
			}
		}
		return false
	})
}

// once reports false for the second time.
func once(seen *uint32, bit int) bool {
	before := *seen
	*seen |= 1 << bit
	return *seen != before
}

// A scanner reads values from the beginning of what is left. Each method reports false for what it does not read.
type scanner struct{ rest []byte }

func (p *scanner) byte(b byte) bool {
	if len(p.rest) == 0 || p.rest[0] != b {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// object calls field with each key, to read its value. The key is only good until the data changes.
func (p *scanner) object(field func(key []byte) bool) bool {
	if !p.byte('{') {
		return false
	}
	if p.byte('}') {
		return true
	}
	for {
		key, ok := p.raw()
		if !ok || !p.byte(':') || !field(key) {
			return false
		}
		if p.byte('}') {
			return true
		}
		if !p.byte(',') {
			return false
		}
	}
}

// raw reads a text, without its quotes. It is only good until the data changes.
func (p *scanner) raw() ([]byte, bool) {
	if !p.byte('"') {
		return nil, false
	}
	for i, b := range p.rest {
		switch {
		case b == '"':
			text := p.rest[:i]
			p.rest = p.rest[i+1:]
			return text, true
		case b < 0x20 || b > 0x7e || b == '\\':
			return nil, false
		}
	}
	return nil, false
}

func (p *scanner) text(into *string) bool {
	text, ok := p.raw()
	*into = string(text)
	return ok
}

func (p *scanner) texts(into *map[string]string) bool {
	all := map[string]string{}
	*into = all
	return p.object(func(key []byte) bool {
		var value string
		ok := p.text(&value)
		all[string(key)] = value
		return ok
	})
}

func (p *scanner) time(into *time.Time) bool {
	before := p.rest
	text, ok := p.raw()
	return ok && into.UnmarshalJSON(before[:len(text)+2]) == nil
}

func (p *scanner) truth(into *bool) bool {
	var ok bool
	if p.rest, ok = bytes.CutPrefix(p.rest, []byte("true")); ok {
		*into = true
		return true
	}
	p.rest, ok = bytes.CutPrefix(p.rest, []byte("false"))
	return ok
}

// number reads a whole number of at most 18 digits.
func (p *scanner) number(into *int64) bool {
	i, n := 0, int64(0)
	negative := p.byte('-')
	for i < len(p.rest) && p.rest[i] >= '0' && p.rest[i] <= '9' {
		n = n*10 + int64(p.rest[i]-'0')
		i++
	}
	if i == 0 || i > 18 || p.rest[0] == '0' && (i > 1 || negative) {
		return false
	}
	if negative {
		n = -n
	}
	p.rest = p.rest[i:]
	*into = n
	return true
}

func (p *scanner) small(into *int) bool {
	var n int64
	ok := p.number(&n)
	*into = int(n)
	return ok && (strconv.IntSize == 64 || int64(int32(n)) == n)
}
