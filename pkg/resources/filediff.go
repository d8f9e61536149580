package resources

import (
	"errors"
	"fmt"
	"io"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// blobChange describes the change of content from a file of the host ("" if there is none) to a blob.
func blobChange(h *host.Host, name string, size int64, blob *resource.Blob) (change.Change, error) {
	if size > maxDiff || blob.Size > maxDiff {
		from := change.Absent
		if name != "" {
			digest, err := h.FS.Digest(name)
			if err != nil {
				return change.Change{}, fmt.Errorf("reading %s: %w", name, err)
			}
			from = briefDigest(digest, size)
		}
		return change.Of("content", from, briefDigest(blob.Digest, blob.Size)), nil
	}
	var old []byte
	if name != "" {
		var err error
		if old, err = h.FS.Read(name, maxDiff); err != nil {
			return change.Change{}, fmt.Errorf("reading %s: %w", name, err)
		}
	}
	r, err := blob.Open()
	if err != nil {
		return change.Change{}, fmt.Errorf("opening the content: %w", err)
	}
	want, err := io.ReadAll(io.LimitReader(r, maxDiff+1))
	if err := errors.Join(err, r.Close()); err != nil {
		return change.Change{}, fmt.Errorf("reading the content: %w", err)
	}
	return contentChange("content", old, want), nil
}
