package resource

import (
	"fmt"
	"io/fs"
	"strconv"
	"time"
)

// A Mode is a file mode as a policy writes it: a quoted octal string such as "0644", with setuid, setgid and sticky as
// the fourth digit. An unquoted number is refused, because YAML reads 0644 as 420.
type Mode struct {
	Perm fs.FileMode
}

// UnmarshalText reads "0644", "644" or "4755".
func (m *Mode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 16)
	if err != nil || n > 0o7777 || len(text) < 3 {
		return fmt.Errorf("%q is not a file mode: want an octal string such as \"0644\"", text)
	}
	m.Perm = fs.FileMode(n & 0o777)
	if n&0o4000 != 0 {
		m.Perm |= fs.ModeSetuid
	}
	if n&0o2000 != 0 {
		m.Perm |= fs.ModeSetgid
	}
	if n&0o1000 != 0 {
		m.Perm |= fs.ModeSticky
	}
	return nil
}

// MarshalText renders the mode as four octal digits.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// String renders the mode as four octal digits.
func (m Mode) String() string { return FormatMode(m.Perm) }

// FormatMode renders a file mode as four octal digits, such as "0644".
func FormatMode(perm fs.FileMode) string {
	n := uint32(perm & 0o777)
	if perm&fs.ModeSetuid != 0 {
		n |= 0o4000
	}
	if perm&fs.ModeSetgid != 0 {
		n |= 0o2000
	}
	if perm&fs.ModeSticky != 0 {
		n |= 0o1000
	}
	return fmt.Sprintf("%04o", n)
}

// A Duration is a time span as a policy writes it, such as "90s" or "1h30m".
type Duration struct{ time.Duration }

// UnmarshalText reads what time.ParseDuration reads; negative spans are refused.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a duration: want a number with a unit, such as 30s, 5m or 1h30m", text)
	}
	d.Duration = v
	return nil
}

// MarshalText renders the duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
