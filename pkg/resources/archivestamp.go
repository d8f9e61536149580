package resources

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// stamp is what was unpacked into a directory.
type stamp struct {
	Digest  string       `json:"digest"` // of the archive
	Strip   int          `json:"strip"`
	Entries []stampEntry `json:"entries"` // a directory before what is in it
}

type stampEntry struct {
	Name   string      `json:"name"` // below the directory
	Kind   host.Kind   `json:"kind"`
	Mode   fs.FileMode `json:"mode,omitempty"`
	Digest string      `json:"digest,omitempty"`
	Target string      `json:"target,omitempty"`
}

const stampName = ".vigo-archive"

// readStamp returns nil if nothing was unpacked into the directory.
func readStamp(h *host.Host, dir string) (*stamp, error) {
	data, err := h.FS.Read(path.Join(dir, stampName), 0)
	if errors.Is(err, host.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was unpacked: %w", err)
	}
	var s stamp
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fault.WithHint(fmt.Errorf("reading %s: %w", path.Join(dir, stampName), err), "remove the file, and all is unpacked anew")
	}
	for _, e := range s.Entries {
		if !isInside(e.Name) {
			return nil, fmt.Errorf("reading %s: %q leads out of the directory", path.Join(dir, stampName), e.Name)
		}
	}
	return &s, nil
}

// isInside is whether a name stays in the directory it is below.
func isInside(name string) bool {
	return name != "" && name != "." && path.Clean(name) == name && !path.IsAbs(name) && name != ".." && !strings.HasPrefix(name, "../") &&
		!strings.ContainsRune(name, 0)
}

func (s *stamp) write(ctx context.Context, h *host.Host, dir string) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return h.FS.Write(ctx, path.Join(dir, stampName), bytes.NewReader(append(data, '\n')), host.WriteOptions{Attr: defaultMode(host.Attr{}, 0o644)})
}

// drift compares what is there with what was unpacked.
func (s *stamp) drift(h *host.Host, dir string, want host.Attr) ([]change.Change, error) {
	var changes []change.Change
	for _, e := range s.Entries {
		name := path.Join(dir, e.Name)
		is, err := look(h, name)
		if err != nil {
			return nil, err
		}
		switch {
		case is == nil:
			changes = append(changes, change.Of(e.Name, change.Absent, e.Kind))
		case is.Kind != e.Kind:
			changes = append(changes, change.Of(e.Name, is.Kind, e.Kind))
		case is.Target != e.Target:
			changes = append(changes, change.Of(e.Name, is.Target, e.Target))
		case e.Kind != host.Symlink && is.Mode != e.Mode:
			changes = append(changes, change.Of(e.Name+" mode", resource.FormatMode(is.Mode), resource.FormatMode(e.Mode)))
		case want.UID != nil && is.UID != *want.UID:
			changes = append(changes, change.Of(e.Name+" owner", is.UID, *want.UID))
		case want.GID != nil && is.GID != *want.GID:
			changes = append(changes, change.Of(e.Name+" group", is.GID, *want.GID))
		case e.Kind == host.File:
			digest, err := h.FS.Digest(name)
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", name, err)
			}
			if digest != e.Digest {
				changes = append(changes, change.Of(e.Name, fmt.Sprintf("%.19s", digest), fmt.Sprintf("%.19s", e.Digest)))
			}
		}
	}
	return changes, nil
}

// remove takes away what was unpacked and is not kept, and directories that are empty then.
func (s *stamp) remove(ctx context.Context, h *host.Host, dir string, keep *stamp) error {
	kept := map[string]bool{}
	if keep != nil {
		for _, e := range keep.Entries {
			kept[e.Name] = true
		}
	}
	for _, e := range slices.Backward(s.Entries) {
		name := path.Join(dir, e.Name)
		if kept[e.Name] {
			continue
		}
		is, err := look(h, name)
		if err != nil || is == nil {
			if err != nil {
				return err
			}
			continue
		}
		if is.Kind != e.Kind || is.Kind == host.Dir && !isEmpty(h, name) {
			continue // somebody put something else there
		}
		if err := h.FS.Remove(ctx, name, false); err != nil {
			return err
		}
	}
	if keep != nil {
		return nil
	}
	if err := h.FS.Remove(ctx, path.Join(dir, stampName), false); err != nil || !isEmpty(h, dir) {
		return err
	}
	return h.FS.Remove(ctx, dir, false)
}

func isEmpty(h *host.Host, dir string) bool {
	entries, err := h.FS.List(dir)
	return err == nil && len(entries) == 0
}
