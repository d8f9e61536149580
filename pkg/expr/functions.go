package expr

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"path"
	"strings"

	exprlang "github.com/expr-lang/expr"
)

// functionNames are the names of functions, which are no traits.
var functionNames = []string{"version", "cidr", "glob", "bucket", "has"}

// functions are what conditions may call beside the operators and built-in functions of expr-lang.
func functions() []exprlang.Option {
	return []exprlang.Option{
		// version makes a string comparable as a version: version(os.version) >= version("12").
		exprlang.Function("version", func(args ...any) (any, error) { return versionKey(fmt.Sprint(args[0])), nil }, new(func(any) string)),
		// cidr tells whether an address lies in a network: cidr("192.0.2.0/24", address).
		exprlang.Function("cidr", func(args ...any) (any, error) { return inNetwork(args[0], args[1]) }, new(func(string, any) bool)),
		// glob matches a name: glob("web-*", node).
		exprlang.Function("glob", func(args ...any) (any, error) {
			s, ok := args[1].(string)
			if !ok {
				return false, nil
			}
			return path.Match(args[0].(string), s)
		}, new(func(string, any) bool)),
		// bucket puts a name into one of 100 buckets, the same for ever: bucket(node) < 5.
		exprlang.Function("bucket", func(args ...any) (any, error) {
			sum := sha256.Sum256([]byte(fmt.Sprint(args[0])))
			return int(binary.BigEndian.Uint64(sum[:8]) % 100), nil
		}, new(func(any) int)),
		// has tells whether something is there: has(services.nginx).
		exprlang.Function("has", func(args ...any) (any, error) { return args[0] != nil, nil }, new(func(any) bool)),
	}
}

func inNetwork(network, address any) (bool, error) {
	prefix, err := netip.ParsePrefix(network.(string))
	if err != nil {
		return false, fmt.Errorf("%q is not a network", network)
	}
	s, ok := address.(string)
	if !ok {
		return false, nil
	}
	s, _, _ = strings.Cut(s, "/")
	addr, err := netip.ParseAddr(s)
	return err == nil && prefix.Contains(addr), nil
}

// versionKey renders a version so that strings compare as versions do: numbers by value, "~" before the end, letters
// before other characters, as in deb-version(7).
func versionKey(v string) string {
	var b strings.Builder
	for i := 0; i < len(v); {
		c := v[i]
		if c >= '0' && c <= '9' {
			j := i
			for j < len(v) && v[j] >= '0' && v[j] <= '9' {
				j++
			}
			digits := strings.TrimLeft(v[i:j], "0")
			fmt.Fprintf(&b, "5%04d%s", len(digits), digits)
			i = j
			continue
		}
		switch {
		case c == '~':
			b.WriteByte('1')
		case c == '.' || c == '-' || c == '+' || c == ':':
			b.WriteByte('4')
			b.WriteByte(c)
		default:
			b.WriteByte('3')
			b.WriteByte(c)
		}
		i++
	}
	b.WriteByte('2')
	return b.String()
}
