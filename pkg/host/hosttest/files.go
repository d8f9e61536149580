package hosttest

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"
	"time"

	"vigo.dev/pkg/host"
)

// node is one file.
type node struct {
	kind     host.Kind
	mode     fs.FileMode
	uid, gid int
	content  string
	target   string
	links    uint64
	mtime    time.Time // the start of 1970 if nobody says
	xattrs   map[string]string
	flags    host.FileFlags
	device   *device // of a block device
	implied  bool    // a directory nobody named: not printed
}

// files implements host.FS.
type files struct{ m *Machine }

var _ host.FS = files{}

// maxRead is what Read returns at most when no limit is given, as host.FileReader says.
const maxRead = 64 << 20

// maxLinks bounds the symbolic links followed in one path, as Linux does.
const maxLinks = 40

// resolve maps a path to the one in nodes: symbolic links in its directories are followed, a final one only on demand.
func (m *Machine) resolve(name string, final bool) (string, error) {
	if !path.IsAbs(name) || path.Clean(name) != name {
		return "", fmt.Errorf("%s: not a clean absolute path", name)
	}
	at, rest := "/", strings.Split(strings.Trim(name, "/"), "/")
	for hops := 0; len(rest) > 0; {
		if rest[0] == "" || rest[0] == "." {
			rest = rest[1:]
			continue
		}
		next := path.Join(at, rest[0])
		rest = rest[1:]
		n := m.nodes[next]
		switch {
		case n != nil && n.kind == host.Symlink && (final || len(rest) > 0):
			if hops++; hops > maxLinks {
				return "", fmt.Errorf("%s: too many levels of symbolic links", name)
			}
			target := n.target
			if !path.IsAbs(target) {
				target = path.Join(at, target)
			}
			at, rest = "/", append(strings.Split(strings.Trim(path.Clean(target), "/"), "/"), rest...)
		case n != nil && n.kind != host.Dir && len(rest) > 0:
			return "", fmt.Errorf("%s: %s is not a directory", name, next)
		default:
			at = next
		}
	}
	return at, nil
}

// look finds a node; the caller holds the lock.
func (m *Machine) look(word, name string, final bool) (string, *node, error) {
	for _, w := range []string{word, "look"} {
		if err := m.failure(w, name); err != nil {
			return "", nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	at, err := m.resolve(name, final)
	if err != nil {
		return "", nil, err
	}
	n := m.nodes[at]
	if n == nil {
		return at, nil, fmt.Errorf("%s: %w", name, host.ErrNotFound)
	}
	return at, n, nil
}

func (m *Machine) regular(word, name string) (*node, error) {
	_, n, err := m.look(word, name, true)
	if err != nil {
		return nil, err
	}
	if n.kind != host.File {
		return nil, fmt.Errorf("%s: is a %s, not a regular file", name, n.kind)
	}
	return n, nil
}

// Stat implements host.FileReader.
func (f files) Stat(name string) (host.Info, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	_, n, err := f.m.look("stat", name, false)
	if err != nil {
		return host.Info{}, err
	}
	return n.info(path.Base(name)), nil
}

func (n *node) info(name string) host.Info {
	size := int64(len(n.content))
	if n.kind == host.Symlink {
		size = int64(len(n.target))
	}
	written := n.mtime
	if written.IsZero() {
		written = time.Unix(0, 0).UTC()
	}
	return host.Info{Name: name, Kind: n.kind, Size: size, Mode: n.mode, UID: n.uid, GID: n.gid, Target: n.target,
		ModTime: written, Links: max(n.links, 1)}
}

// Open implements host.FileReader.
func (f files) Open(name string) (io.ReadCloser, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	n, err := f.m.regular("read", name)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(strings.NewReader(n.content)), nil
}

// Read implements host.FileReader.
func (f files) Read(name string, limit int64) ([]byte, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	n, err := f.m.regular("read", name)
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		limit = maxRead
	}
	if int64(len(n.content)) > limit {
		return nil, fmt.Errorf("%s: longer than %d bytes", name, limit)
	}
	return []byte(n.content), nil
}

// List implements host.FileReader.
func (f files) List(dir string) ([]host.Info, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	at, n, err := f.m.look("read", dir, true)
	if err != nil {
		return nil, err
	}
	if n.kind != host.Dir {
		return nil, fmt.Errorf("%s: is a %s, not a directory", dir, n.kind)
	}
	var infos []host.Info
	for name, n := range f.m.nodes {
		if name != "/" && path.Dir(name) == at {
			infos = append(infos, n.info(path.Base(name)))
		}
	}
	sort.Slice(infos, func(i, j int) bool { return infos[i].Name < infos[j].Name })
	return infos, nil
}

// Digest implements host.FileReader.
func (f files) Digest(name string) (string, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	n, err := f.m.regular("read", name)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(n.content))), nil
}
