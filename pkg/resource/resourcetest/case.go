package resourcetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sort"
	"strings"

	"golang.org/x/tools/txtar"
	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/host/hosttest"
	"vigo.dev/pkg/resource"
)

// testCase is one case; it is also the content of the module its resource is declared in.
type testCase struct{ archive *txtar.Archive }

var _ resource.Content = (*testCase)(nil)

// expected are the sections that -update rewrites, in order.
func expected() []string { return []string{"diff", "learnt", "refresh", "finish", "after", "error"} }

func readCase(path string) (*testCase, error) {
	a, err := txtar.ParseFile(path)
	if err != nil {
		return nil, err
	}
	c := &testCase{a}
	if len(bytes.TrimSpace(a.Comment)) == 0 {
		return nil, errors.New(path + ": has no comment that says what it shows")
	}
	if !c.has("resource") {
		return nil, errors.New(path + ": has no section resource")
	}
	for _, f := range a.Files {
		dir, _, inDir := strings.Cut(f.Name, "/")
		switch {
		case inDir && (dir == "fs" || dir == "files" || dir == "templates"):
		case f.Name == "resource" || f.Name == "host" || f.Name == "others":
		case strings.Contains(" "+strings.Join(expected(), " ")+" ", " "+f.Name+" "):
		default:
			return nil, fmt.Errorf("%s: unknown section %s", path, f.Name)
		}
	}
	// The comment is prose, not host text.
	c.archive = &txtar.Archive{Files: a.Files}
	return c, nil
}

func (c *testCase) section(name string) (string, bool) {
	for _, f := range c.archive.Files {
		if f.Name == name {
			return string(f.Data), true
		}
	}
	return "", false
}

func (c *testCase) has(name string) bool {
	_, ok := c.section(name)
	return ok
}

// want returns the expected sections; the machine as package hosttest prints it, and empty if nothing is changed.
func (c *testCase) want() (outcome, error) {
	var w outcome
	w.Diff, _ = c.section("diff")
	w.Learnt, _ = c.section("learnt")
	w.Refresh, _ = c.section("refresh")
	w.Finish, _ = c.section("finish")
	w.Error, _ = c.section("error")
	text, ok := c.section("after")
	if !ok {
		return w, nil
	}
	m, err := hosttest.Parse([]byte(text))
	if err != nil {
		return w, fmt.Errorf("after: %w", err)
	}
	before, err := hosttest.FromArchive(c.archive)
	if err != nil {
		return w, err
	}
	w.After = after(before.String(), m)
	return w, nil
}

// others reads the section of that name.
func (c *testCase) others() ([]resource.ID, error) {
	text, _ := c.section("others")
	var ids []resource.ID
	for _, ref := range strings.Fields(text) {
		id, err := resource.ParseID(ref)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// resource reads the section of that name.
func (c *testCase) resource(kind string) (identity string, attrs map[string]any, err error) {
	text, _ := c.section("resource")
	if err := yaml.Unmarshal([]byte(text), &attrs); err != nil {
		return "", nil, err
	}
	identity, ok := attrs[kind].(string)
	if !ok {
		return "", nil, fmt.Errorf("the section resource has no identity line %q", kind+": …")
	}
	delete(attrs, kind)
	return identity, attrs, nil
}

// secrets returns the values of secret attributes that are long enough to be looked for.
func (c *testCase) secrets(kind resource.Kind) []string {
	_, attrs, err := c.resource(kind.Name)
	if err != nil {
		return nil
	}
	var found []string
	for _, f := range kind.Fields {
		if v, ok := attrs[f.Key].(string); ok && f.Secret && len(v) > 3 {
			found = append(found, v)
		}
	}
	return found
}

// rewrite puts what was got in place of the expected sections; empty ones go, but for diff and an asked-for refresh or finish.
func (c *testCase) rewrite(path string, got outcome) error {
	a, err := txtar.ParseFile(path)
	if err != nil {
		return err
	}
	text := map[string]string{"diff": got.Diff, "learnt": got.Learnt, "after": got.After, "refresh": got.Refresh, "finish": got.Finish, "error": got.Error}
	var files []txtar.File
	for _, f := range a.Files {
		if _, generated := text[f.Name]; !generated {
			files = append(files, f)
		}
	}
	for _, name := range expected() {
		keep := name == "diff" && got.Error == "" || (name == "refresh" || name == "finish") && c.has(name)
		if text[name] != "" || keep {
			files = append(files, txtar.File{Name: name, Data: []byte(text[name])})
		}
	}
	a.Files = files
	return os.WriteFile(path, txtar.Format(a), 0o644)
}

// File implements resource.Content.
func (c *testCase) File(name string) (resource.Blob, error) {
	text, ok := c.section("files/" + name)
	if !ok {
		return resource.Blob{}, fmt.Errorf("files/%s: %w", name, fs.ErrNotExist)
	}
	return resource.Blob{
		Size:   int64(len(text)),
		Digest: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))),
		Open:   func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
	}, nil
}

// Template implements resource.Content.
func (c *testCase) Template(name string) ([]byte, error) {
	text, ok := c.section("templates/" + name)
	if !ok {
		return nil, fmt.Errorf("templates/%s: %w", name, fs.ErrNotExist)
	}
	return []byte(text), nil
}

// List implements resource.Content.
func (c *testCase) List(dir string) ([]string, error) {
	prefix := "files/" + dir + "/"
	var names []string
	for _, f := range c.archive.Files {
		if name, ok := strings.CutPrefix(f.Name, prefix); ok {
			names = append(names, name)
		}
	}
	if names == nil {
		return nil, fmt.Errorf("files/%s: %w", dir, fs.ErrNotExist)
	}
	sort.Strings(names)
	return names, nil
}
