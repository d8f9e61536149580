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

// versionKey renders a version so that strings compare as versions do, in the order of deb-version(7): the epoch first,
// then the upstream version, then what follows the last hyphen.
func versionKey(v string) string {
	epoch := ""
	if number, rest, ok := strings.Cut(v, ":"); ok && digits(number) == len(number) {
		epoch, v = number, rest
	}
	upstream, revision := v, ""
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		upstream, revision = v[:i], v[i+1:]
	}
	var b strings.Builder
	writeNumber(&b, epoch)
	writePart(&b, upstream)
	writePart(&b, revision)
	return b.String()
}

// writePart writes a part of a version: numbers by value, "~" before the end, the end before numbers, numbers before
// letters, and letters before all other characters.
func writePart(b *strings.Builder, part string) {
	for len(part) > 0 {
		if n := digits(part); n > 0 {
			writeNumber(b, part[:n])
			part = part[n:]
			continue
		}
		switch c := part[0]; {
		case c == '~':
			b.WriteByte('1')
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			b.WriteByte('3')
			b.WriteByte(c)
		default:
			b.WriteByte('4')
			b.WriteByte(c)
		}
		part = part[1:]
	}
	b.WriteString("2 ")
}

// writeNumber writes a number so that the longer one is the larger.
func writeNumber(b *strings.Builder, number string) {
	number = strings.TrimLeft(number, "0")
	fmt.Fprintf(b, "2%04d%s", len(number), number)
}

// digits returns how many digits s begins with.
func digits(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }
