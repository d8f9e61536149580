package resources

import (
	"fmt"
	"io"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// contentChange is blobChange for a file that may hold secrets: then only what hide leaves of the content is shown, and that
// something else has changed.
func (f *File) contentChange(h *host.Host, name string, size int64, blob *resource.Blob) (change.Change, error) {
	if f.hide == nil {
		return blobChange(h, name, size, blob)
	}
	var old []byte
	if name != "" {
		var err error
		if old, err = h.FS.Read(name, maxEdit); err != nil {
			return change.Change{}, fmt.Errorf("reading %s: %w", name, err)
		}
	}
	r, err := blob.Open()
	if err != nil {
		return change.Change{}, fmt.Errorf("opening the new content of %s: %w", f.Path, err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxEdit))
	if err != nil {
		return change.Change{}, fmt.Errorf("reading the new content of %s: %w", f.Path, err)
	}
	from, to := f.hide(old), f.hide(data)
	if string(from) == string(to) {
		return change.Secret("content"), nil
	}
	return contentChange("content", from, to), nil
}
