package hosttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/host"
)

// ErrUnexpected says that a program was run, or a URL fetched, that the text of the machine does not script.
var ErrUnexpected = errors.New("the host text does not script it")

// script is what one program does. An argument "*" stands for any one argument, a last "..." for any number.
type script struct {
	argv           []string
	code           int
	stdout, stderr string
	stdin          string            // ends with 1 if it is given something else to read
	reads          bool              // changes nothing: running it is no write
	exists         string            // ends with 0 if this path is there, else with 1
	rejects        string            // ends with 1 if the file named by the argument "*" contains this
	creates        map[string]string // files it makes, with their content
	removes        string            // a path it removes
	gives          string            // an address it gives: eth0=192.0.2.7/24
	leaves         string            // a device and all it holds then
	composes       string            // a project and the services of it that run then, as compose makes them
	once           bool
	spent          bool
}

// runner implements host.Runner.
type runner struct{ m *Machine }

var _ host.Runner = runner{}

// Run implements host.Runner.
func (r runner) Run(ctx context.Context, c host.Command) (host.Result, error) {
	if err := ctx.Err(); err != nil {
		return host.Result{}, err
	}
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	line := quoteArgv(c.Argv)
	if c.User != "" && r.m.users[c.User] == nil {
		return host.Result{}, fmt.Errorf("running %s: %w", line, notFound("user", c.User))
	}
	for _, s := range r.m.commands {
		if s.spent || !s.matches(c.Argv) {
			continue
		}
		if !s.reads {
			r.m.wrote("run %s", line)
		}
		s.spent = s.once
		if s.stdin != "" {
			if read, err := readAll(c.Stdin); err != nil || read != s.stdin {
				return host.Result{Code: 1, Stderr: []byte("its input is " + strconv.Quote(read))}, err
			}
		}
		return r.m.run(s, c), nil
	}
	return host.Result{}, fmt.Errorf("running %s: %w", line, ErrUnexpected)
}

func readAll(r io.Reader) (string, error) {
	if r == nil {
		return "", nil
	}
	data, err := io.ReadAll(r)
	return string(data), err
}

func (s *script) matches(argv []string) bool {
	for i, want := range s.argv {
		if want == "..." && i == len(s.argv)-1 {
			return true
		}
		if i >= len(argv) || want != "*" && want != argv[i] {
			return false
		}
	}
	return len(argv) == len(s.argv)
}

// run carries out what a script says; the caller holds the lock.
func (m *Machine) run(s *script, c host.Command) host.Result {
	res := host.Result{Code: s.code, Stdout: []byte(s.stdout), Stderr: []byte(s.stderr)}
	if s.exists != "" {
		res.Code = 1
		if at, err := m.resolve(s.exists, true); err == nil && m.nodes[at] != nil {
			res.Code = 0
		}
	}
	if s.rejects != "" {
		for i, arg := range s.argv {
			if arg != "*" || i >= len(c.Argv) {
				continue
			}
			if n := m.nodes[path.Clean(c.Argv[i])]; n != nil && strings.Contains(n.content, s.rejects) {
				res.Code = 1
			}
		}
	}
	if res.Code != 0 {
		return res
	}
	for name, content := range s.creates {
		m.imply(name)
		m.nodes[name] = &node{kind: host.File, mode: 0o644, content: content}
	}
	if s.removes != "" {
		m.removeTree(s.removes)
	}
	if s.leaves != "" {
		m.leave(s.leaves)
	}
	if project, services, ok := strings.Cut(s.composes, ":"); ok {
		m.engine.compose(project, services)
	}
	name, address, _ := strings.Cut(s.gives, "=")
	for i := range m.interfaces {
		if m.interfaces[i].Name == name {
			m.interfaces[i].Addresses = append(slices.Clone(m.interfaces[i].Addresses), address)
		}
	}
	return res
}

func quoteArgv(argv []string) string {
	text, err := json.Marshal(argv)
	if err != nil {
		panic("hosttest: a list of strings cannot be rendered: " + err.Error())
	}
	return string(text)
}

// Find implements host.Runner: a program line, or any command line for the program, makes it findable.
func (r runner) Find(name string) (string, error) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if at, ok := r.m.programs[name]; ok {
		return at, nil
	}
	for _, s := range r.m.commands {
		if s.argv[0] == name || path.Base(s.argv[0]) == name {
			if path.IsAbs(s.argv[0]) {
				return s.argv[0], nil
			}
			return "/usr/bin/" + name, nil
		}
	}
	return "", notFound("program", name)
}

// fetcher implements host.Fetcher.
type fetcher struct{ m *Machine }

var _ host.Fetcher = fetcher{}

// maxFetch is what Fetch copies at most when no limit is given, as host.Fetcher says.
const maxFetch = 1 << 30

// Fetch implements host.Fetcher.
func (f fetcher) Fetch(ctx context.Context, q host.Request, w io.Writer) (int64, error) {
	url, limit := q.URL, q.Limit
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.failure("fetch", url); err != nil {
		return 0, fmt.Errorf("fetching %s: %w", url, err)
	}
	body, ok := f.m.urls[url]
	if !ok {
		return 0, fmt.Errorf("fetching %s: %w", url, host.ErrNotFound)
	}
	if limit == 0 {
		limit = maxFetch
	}
	if int64(len(body)) > limit {
		return 0, fmt.Errorf("fetching %s: longer than %d bytes", url, limit)
	}
	if q.From > int64(len(body)) {
		return 0, fmt.Errorf("fetching %s: %w than %d bytes", url, host.ErrRange, q.From)
	}
	body = body[q.From:]
	cut, isCut := f.m.cuts[url]
	if isCut = isCut && cut < len(body); isCut {
		body = body[:cut]
	}
	n, err := io.WriteString(w, body)
	if err == nil && isCut {
		err = fmt.Errorf("fetching %s: %w", url, io.ErrUnexpectedEOF)
	}
	return int64(n), err
}
