package traits

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"vigo.dev/pkg/host"
)

// An aptList is one list of packages that apt has fetched.
type aptList struct {
	name     string // of its file
	security bool   // of a security repository
}

const (
	maxListBytes = 1 << 30   // of one list, unpacked: Debian's largest has 60 MB
	maxParagraph = 1 << 20   // of one package in it
	listBlock    = 256 << 10 // read at once, at least
)

// aptLists finds the lists apt takes upgrades from, and the date of the newest.
func aptLists(h *host.Host) (lists []aptList, newest time.Time, err error) {
	files, err := h.FS.List(aptListsDir)
	if err != nil {
		return nil, newest, err
	}
	releases := map[string]release{} // by the part of the name that its lists share
	for _, f := range files {
		prefix, ok := strings.CutSuffix(f.Name, "InRelease")
		if !ok {
			prefix, ok = strings.CutSuffix(f.Name, "Release")
		}
		if !ok || f.Kind != host.File {
			continue
		}
		r, err := readRelease(h, aptListsDir+"/"+f.Name)
		if err != nil {
			return nil, newest, err
		}
		releases[prefix] = r
	}
	for _, f := range files {
		base, _, _ := strings.Cut(f.Name, "_Packages")
		if f.Kind != host.File || base == f.Name {
			continue
		}
		r := releaseOf(base, releases)
		if f.ModTime.After(newest) {
			newest = f.ModTime
		}
		if !r.notAutomatic {
			lists = append(lists, aptList{name: f.Name, security: r.security()})
		}
	}
	return lists, newest, nil
}

// releaseOf finds the release a list belongs to: that with the longest name which is the beginning of the list's.
func releaseOf(list string, releases map[string]release) release {
	best := ""
	for prefix := range releases {
		if strings.HasPrefix(list, prefix) && len(prefix) > len(best) {
			best = prefix
		}
	}
	return releases[best]
}

// A release is what a repository says of itself.
type release struct {
	label, suite, codename string
	notAutomatic           bool // apt upgrades to it only on demand
}

// security says whether a release is of security updates: "Debian-Security", "bookworm-security", "jammy-security".
func (r release) security() bool {
	return strings.Contains(strings.ToLower(r.label), "security") || strings.HasSuffix(r.suite, "-security") || strings.HasSuffix(r.codename, "-security")
}

// readRelease reads the head of a Release file; long lists of digests follow.
func readRelease(h *host.Host, path string) (release, error) {
	file, err := h.FS.Open(path)
	if err != nil {
		return release{}, err
	}
	defer file.Close()
	head, err := io.ReadAll(io.LimitReader(file, 8<<10))
	if err != nil {
		return release{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return parseRelease(string(head)), nil
}

func parseRelease(head string) release {
	var r release
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "Label":
			r.label = value
		case "Suite":
			r.suite = value
		case "Codename":
			r.codename = value
		case "NotAutomatic":
			r.notAutomatic = value == "yes"
		}
	}
	return r
}

// scan compares the entries of a list with what is installed.
func (l aptList) scan(ctx context.Context, h *host.Host, offers map[string]*offer) error {
	file, err := h.FS.Open(aptListsDir + "/" + l.name)
	if err != nil {
		return err
	}
	defer file.Close()
	unpacked, done, err := unpack(l.name, file)
	if err != nil {
		return err
	}
	defer done()
	wanted := func(name []byte) bool { return offers[string(name)] != nil }
	return eachEntry(ctx, unpacked, wanted, func(e entry) { offers[e.name].take(e, l.security) })
}

// unpack reads a file in the compression its name tells.
func unpack(name string, r io.Reader) (unpacked io.Reader, done func(), err error) {
	done = func() {}
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "gz":
		unpacked, err = gzip.NewReader(r)
	case "bz2":
		unpacked = bzip2.NewReader(r)
	case "lz4":
		unpacked = lz4.NewReader(r)
	case "zst":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20)); err == nil {
			unpacked, done = z, z.Close
		}
	case "xz", "lzma":
		err = fmt.Errorf("compressed with xz, which is not supported: %w", errors.ErrUnsupported)
	default:
		unpacked = r
	}
	return unpacked, done, err
}

// An entry is one package of a list.
type entry struct{ name, arch, version string }

// eachEntry reads the paragraphs of a list and gives on those whose name is wanted. A list holds a distribution, of
// which a machine has a hundredth: what is not wanted costs no more than looking for its end.
func eachEntry(ctx context.Context, r io.Reader, wanted func(name []byte) bool, give func(entry)) error {
	buf := make([]byte, 0, listBlock)
	for total := 0; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if total += n; total > maxListBytes {
			return fmt.Errorf("more than %d MiB", maxListBytes>>20)
		}
		end := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !end {
			return err
		}
		rest := buf
		for {
			paragraph, after, whole := bytes.Cut(rest, []byte("\n\n"))
			if !whole && !end {
				break
			}
			if name := field(paragraph, "Package"); len(name) > 0 && wanted(name) {
				give(entry{name: string(name), arch: string(field(paragraph, "Architecture")), version: string(field(paragraph, "Version"))})
			}
			rest = after
			if !whole {
				return nil
			}
		}
		if len(rest) > maxParagraph {
			return fmt.Errorf("a paragraph of more than %d KiB", maxParagraph>>10)
		}
		if len(rest) > cap(buf)/2 {
			buf = append(make([]byte, 0, 2*cap(buf)), rest...)
		} else {
			buf = buf[:copy(buf[:cap(buf)], rest)]
		}
	}
}

// field returns the value of a field of a paragraph in the manner of deb-control(5); nothing if it has none.
func field(paragraph []byte, key string) []byte {
	for i := 0; i < len(paragraph); {
		line := paragraph[i:]
		if end := bytes.IndexByte(line, '\n'); end >= 0 {
			line = line[:end]
		}
		if len(line) > len(key) && line[len(key)] == ':' && string(line[:len(key)]) == key {
			return bytes.TrimSpace(line[len(key)+1:])
		}
		i += len(line) + 1
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
