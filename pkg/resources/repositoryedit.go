package resources

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

const (
	maxKey = 1 << 20
	armor  = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
)

// checkRepositoryName refuses what cannot be the name of a file that a package manager reads.
func checkRepositoryName(name string) error {
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_.-", c)) {
			return fault.WithHint(fmt.Errorf("%q cannot be the name of a file of sources", name), "letters, digits, _ . and - only")
		}
	}
	if strings.HasPrefix(name, ".") {
		return fmt.Errorf("%q cannot be the name of a file of sources", name)
	}
	return nil
}

// checkRepositoryURIs refuses what is no URI, and passwords: the files are readable by everybody.
func checkRepositoryURIs(key, instead string, uris ...string) error {
	for _, uri := range uris {
		if u, err := url.Parse(uri); err != nil || u.Scheme == "" {
			return fmt.Errorf("%s: %q is not a URI", key, uri)
		} else if u.User != nil {
			return fault.WithHint(fmt.Errorf("%s: a URI with a password would be readable by everybody", key), instead)
		}
	}
	return nil
}

// checkRepositoryKey refuses more than one key, and a text that is none.
func checkRepositoryKey(key, keyFile, signedBy string) error {
	given := 0
	for _, s := range []string{key, keyFile, signedBy} {
		if s != "" {
			given++
		}
	}
	if given > 1 {
		return errors.New("key, key_file and signed_by exclude each other")
	}
	if key != "" && !strings.Contains(key, armor) {
		return fmt.Errorf("key: does not hold %s", armor)
	}
	return nil
}

// repositoryKey is the key that is written to the machine; nil if there is none.
func repositoryKey(c resource.Content, key, keyFile string) ([]byte, error) {
	if key != "" {
		return []byte(strings.TrimSpace(key) + "\n"), nil
	}
	if keyFile == "" {
		return nil, nil
	}
	blob, err := c.File(keyFile)
	if err != nil {
		return nil, fmt.Errorf("key_file: %w", err)
	}
	if blob.Size > maxKey {
		return nil, fmt.Errorf("key_file: %d bytes is too long for a key", blob.Size)
	}
	f, err := blob.Open()
	if err != nil {
		return nil, fmt.Errorf("key_file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKey))
	if err != nil {
		return nil, fmt.Errorf("key_file: %w", err)
	}
	return data, nil
}

// A repositoryFile is a file that a repository may have, and how a change of it is called.
type repositoryFile struct{ field, name string }

// planRepository plans that these files hold what is wanted; those that are not wanted are removed. What must be done between
// writing them and fetching the lists is trust; nil if that is nothing.
func planRepository(h *host.Host, wanted map[string][]byte, files []repositoryFile, trust func(context.Context) error) (resource.Plan, error) {
	var plan resource.Plan
	var edits []repositoryEdit
	var changes []change.Change
	for _, f := range files {
		e := repositoryEdit{name: f.name, to: wanted[f.name]}
		data, err := h.FS.Read(f.name, maxKey)
		if err != nil && !errors.Is(err, host.ErrNotFound) {
			return plan, err
		}
		if err == nil {
			e.from = append([]byte{}, data...)
		}
		if (e.from == nil) == (e.to == nil) && string(e.from) == string(e.to) {
			continue
		}
		edits = append(edits, e)
		changes = append(changes, e.change(f.field))
	}
	if len(edits) > 0 {
		plan.Do(func(ctx context.Context) error { return applyRepository(ctx, h, edits, trust) }, changes...)
	}
	return plan, nil
}

// A repositoryEdit is one file that changes; nil means that it is not there.
type repositoryEdit struct {
	name     string
	from, to []byte
}

func (e repositoryEdit) change(field string) change.Change {
	show := func(data []byte) string {
		switch {
		case data == nil:
			return change.Absent
		case field == "key":
			sum := sha256.Sum256(data)
			return "sha256:" + hex.EncodeToString(sum[:6])
		}
		var fields []string
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				fields = append(fields, line)
			}
		}
		return strings.Join(fields, "; ")
	}
	return change.Of(field, show(e.from), show(e.to))
}

func (e repositoryEdit) write(ctx context.Context, h *host.Host, data []byte) error {
	if data == nil {
		return h.FS.Remove(ctx, e.name, false)
	}
	if err := h.FS.MakeDir(ctx, path.Dir(e.name), host.Attr{}); err != nil {
		return err
	}
	return h.FS.Write(ctx, e.name, strings.NewReader(string(data)), host.WriteOptions{})
}

// applyRepository writes the files and fetches the package lists. Where there is no running machine, the lists are
// left for the first boot.
func applyRepository(ctx context.Context, h *host.Host, edits []repositoryEdit, trust func(context.Context) error) error {
	for _, e := range edits {
		if err := e.write(ctx, h, e.to); err != nil {
			return err
		}
	}
	doing, err := "trusting the key", error(nil)
	if trust != nil {
		err = trust(ctx)
	}
	if err == nil {
		doing, err = "fetching the package lists", h.Packages.Refresh(ctx)
	}
	if err == nil || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	err = fmt.Errorf("%s (the change was taken back): %w", doing, err)
	for _, e := range edits {
		// The run may be over; the files must be put back all the same.
		if undo := e.write(context.WithoutCancel(ctx), h, e.from); undo != nil {
			err = fmt.Errorf("%w; taking back the change: %w", err, undo)
		}
	}
	return err
}
