package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"vigo.dev/pkg/resource"
)

// content is the resource.Content of one declaration; it remembers what was taken from it.
type content struct {
	env     env
	check   bool // only whether it is there; nothing is rendered
	hidden  *secretive
	digests []string
}

// File implements resource.Content.
func (c *content) File(path string) (resource.Blob, error) {
	f, err := c.env.content.File(c.env.module, path)
	if err != nil {
		return resource.Blob{}, err
	}
	digest := sha(f.Data)
	c.digests = append(c.digests, digest)
	return resource.Blob{Size: int64(len(f.Data)), Digest: digest, Exec: f.Exec,
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(f.Data)), nil }}, nil
}

// Template implements resource.Content.
func (c *content) Template(path string) ([]byte, error) {
	text, err := c.env.content.Template(c.env.module, path)
	if err != nil {
		return nil, err
	}
	if c.check {
		return []byte{}, nil
	}
	if mayUse(text, c.env.taint) {
		if names, tainted := c.env.taint.of(usesOfText(path, text).with(c.env)); tainted {
			c.hidden.body = true
			c.hidden.note(names)
		}
	}
	out, err := c.env.text(path, text)
	if err != nil {
		return nil, fmt.Errorf("rendering templates/%s: %w", path, err)
	}
	c.digests = append(c.digests, sha([]byte(out)))
	return []byte(out), nil
}

// List implements resource.Content.
func (c *content) List(dir string) ([]string, error) {
	names := c.env.content.List(c.env.module, "files", dir)
	if len(names) == 0 {
		return nil, fmt.Errorf("files/%s of module %s: %w", dir, c.env.module, fs.ErrNotExist)
	}
	return names, nil
}

func sha(data []byte) string {
	const name = "sha256:"
	var out [len(name) + 2*sha256.Size]byte
	sum := sha256.Sum256(data)
	hex.Encode(out[copy(out[:], name):], sum[:])
	return string(out[:])
}

// digestOf is the digest of a declaration as rendered, with what it takes from its module: that of a list in JSON. It stays
// the same from version to version, since agents keep it.
func (b *builder) digestOf(typ, identity string, attrs map[string]any, content []string) string {
	out := append(b.scratch[:0], '[')
	out = append(appendString(out, typ), ',')
	out = append(appendString(out, identity), ',')
	out, err := appendJSON(out, attrs)
	if err != nil { // values of JSON always encode
		return ""
	}
	out = append(out, ',')
	out, err = appendJSON(out, content)
	if err != nil {
		return ""
	}
	b.scratch = append(out, "]\n"...)
	return sha(b.scratch)
}

func bindCode(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "missing-file"
	}
	return "bad-template"
}
