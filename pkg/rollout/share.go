package rollout

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Share is a number of nodes, or a percentage of those there are. Percentages are rounded up.
type Share struct {
	Percent float64
	Nodes   int
}

// ParseShare reads "5%", "0.5%" or "3".
func ParseShare(s string) (Share, error) {
	if number, ok := strings.CutSuffix(strings.TrimSpace(s), "%"); ok {
		p, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || math.IsNaN(p) || p < 0 || p > 100 {
			return Share{}, fmt.Errorf("reading a share: %q is no percentage between 0 and 100", s)
		}
		return Share{Percent: p}, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 0 {
		return Share{}, fmt.Errorf("reading a share: %q is neither a percentage such as 5%% nor a number of nodes", s)
	}
	return Share{Nodes: n}, nil
}

// Of returns how many of n nodes it is, at most n.
func (s Share) Of(n int) int {
	if s.Percent == 0 {
		return min(s.Nodes, n)
	}
	// In thousandths of a percent, so that 7 % of 100 is 7 and not the 8 that binary fractions round up to.
	return min(n, int((int64(math.Round(s.Percent*1000))*int64(n)+99_999)/100_000))
}

// IsZero reports whether it is no share at all.
func (s Share) IsZero() bool { return s == Share{} }

// String renders it as it is written.
func (s Share) String() string {
	if s.Percent == 0 {
		return strconv.Itoa(s.Nodes)
	}
	return strconv.FormatFloat(s.Percent, 'f', -1, 64) + "%"
}

// MarshalText implements [encoding.TextMarshaler].
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Share) UnmarshalText(text []byte) (err error) {
	*s, err = ParseShare(string(text))
	return err
}
