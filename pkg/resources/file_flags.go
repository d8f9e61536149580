package resources

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// ended gives lines the end that is declared.
func (f *File) ended(text []byte) []byte {
	if f.LineEnds == "" {
		return text
	}
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	if f.LineEnds == "crlf" {
		text = bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
	}
	return text
}

// thawing adds the flag to a plan: taken away before anything is done, and set afterwards as declared.
func (f *File) thawing(h *host.Host, p resource.Plan) (resource.Plan, error) {
	var now host.FileFlags
	is, err := look(h, f.Path)
	if err != nil {
		return p, err
	}
	there := is != nil && is.Kind == host.File
	if there {
		now, err = h.Extended.Flags(f.Path)
		if errors.Is(err, errors.ErrUnsupported) && !*f.Immutable {
			return p, nil
		}
		if err != nil {
			return p, err
		}
	}
	changes := p.Changes()
	if f.Ensure != "absent" && now.Immutable != *f.Immutable {
		changes = append(changes, change.Of("immutable", now.Immutable, *f.Immutable))
	}
	if len(changes) == 0 {
		return p, nil
	}
	var whole resource.Plan
	whole.Do(func(ctx context.Context) error {
		if now.Immutable {
			if err := h.Extended.SetFlags(ctx, f.Path, host.FileFlags{}); err != nil {
				return err
			}
		}
		_, err := p.Apply(ctx)
		if f.Ensure == "absent" && err == nil || !*f.Immutable {
			return err
		}
		if !there && err != nil {
			return err
		}
		want := now
		want.Immutable = true
		// Also when the write failed: what was immutable does not stay open.
		if errSet := h.Extended.SetFlags(context.WithoutCancel(ctx), f.Path, want); errSet != nil {
			err = errors.Join(err, fmt.Errorf("making it immutable: %w", errSet))
		}
		return err
	}, changes...)
	return whole, nil
}
