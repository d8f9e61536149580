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

// Repository is a source of packages for apt: a file in /etc/apt/sources.list.d in the format of sources.list(5),
// deb822 style, with the key its index is signed by beside it in /etc/apt/keyrings. When it changes, the package lists
// are fetched; if that fails, the change is taken back, so that one bad source does not stop all others.
//
//	resources:
//	  - repository: docker
//	    uris: [https://download.docker.com/linux/debian]
//	    suites: [bookworm]
//	    components: [stable]
//	    key_file: docker.asc
type Repository struct {
	// Name of the repository, and of its files.
	Name string `vigo:"identity"`

	// Ensure says whether the repository should be present (the default) or absent.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Enabled can be set to false to keep the files but not use the repository.
	Enabled *bool `yaml:"enabled"`

	// Types of packages: deb (the default), deb-src.
	Types []string `yaml:"types"`

	// URIs of the repository, such as https://deb.debian.org/debian.
	URIs []string `yaml:"uris"`

	// Suites, such as bookworm, or a path that ends in a slash.
	Suites []string `yaml:"suites"`

	// Components, such as main. None for a suite that is a path.
	Components []string `yaml:"components"`

	// Architectures to use; all that the machine has if empty.
	Architectures []string `yaml:"architectures"`

	// Key is the OpenPGP public key the index is signed by, armored.
	Key string `yaml:"key"`

	// KeyFile is the same as a file of the module, armored or binary.
	KeyFile string `yaml:"key_file"`

	// SignedBy is the path of a key that is on the machine already.
	SignedBy string `yaml:"signed_by"`

	key []byte
}

var (
	_ resource.Validator = (*Repository)(nil)
	_ resource.Binder    = (*Repository)(nil)
	_ resource.Requirer  = (*Repository)(nil)
)

const (
	aptSources = "/etc/apt/sources.list.d"
	aptKeys    = "/etc/apt/keyrings"
	maxKey     = 1 << 20
	armor      = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
)

// Validate implements [resource.Validator].
func (r *Repository) Validate() error {
	for _, c := range r.Name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_.-", c)) {
			return fault.WithHint(fmt.Errorf("%q cannot be the name of a file of apt", r.Name), "letters, digits, _ . and - only")
		}
	}
	if strings.HasPrefix(r.Name, ".") {
		return fmt.Errorf("%q cannot be the name of a file of apt", r.Name)
	}
	if r.Ensure == "absent" {
		return nil
	}
	if len(r.URIs) == 0 || len(r.Suites) == 0 {
		return errors.New("repository needs uris and suites")
	}
	for _, list := range [][]string{r.Types, r.URIs, r.Suites, r.Components, r.Architectures, {r.SignedBy}} {
		for _, v := range list {
			if strings.ContainsAny(v, " \t\n") {
				return fmt.Errorf("%q holds white space", v)
			}
		}
	}
	for _, uri := range r.URIs {
		if u, err := url.Parse(uri); err != nil || u.Scheme == "" {
			return fmt.Errorf("uris: %q is not a URI", uri)
		} else if u.User != nil {
			return fault.WithHint(errors.New("uris: a URI with a password would be readable by everybody"), "put it in a file in /etc/apt/auth.conf.d")
		}
	}
	for _, t := range r.Types {
		if t != "deb" && t != "deb-src" {
			return fmt.Errorf("types: %q is neither deb nor deb-src", t)
		}
	}
	given := 0
	for _, s := range []string{r.Key, r.KeyFile, r.SignedBy} {
		if s != "" {
			given++
		}
	}
	if given > 1 {
		return errors.New("key, key_file and signed_by exclude each other")
	}
	if r.Key != "" && !strings.Contains(r.Key, armor) {
		return fmt.Errorf("key: does not hold %s", armor)
	}
	return nil
}

// Bind implements [resource.Binder].
func (r *Repository) Bind(c resource.Content) error {
	if r.Key != "" {
		r.key = []byte(strings.TrimSpace(r.Key) + "\n")
	}
	if r.KeyFile == "" {
		return nil
	}
	blob, err := c.File(r.KeyFile)
	if err != nil {
		return fmt.Errorf("key_file: %w", err)
	}
	if blob.Size > maxKey {
		return fmt.Errorf("key_file: %d bytes is too long for a key", blob.Size)
	}
	f, err := blob.Open()
	if err != nil {
		return fmt.Errorf("key_file: %w", err)
	}
	defer f.Close()
	if r.key, err = io.ReadAll(io.LimitReader(f, maxKey)); err != nil {
		return fmt.Errorf("key_file: %w", err)
	}
	return nil
}

// Requires implements [resource.Requirer].
func (r *Repository) Requires() []resource.ID {
	ids := []resource.ID{{Type: "package", Name: "ca-certificates"}}
	if r.SignedBy != "" {
		ids = append(ids, resource.ID{Type: "file", Name: r.SignedBy}, resource.ID{Type: "download", Name: r.SignedBy})
	}
	return ids
}

func (r *Repository) sourcesPath() string { return path.Join(aptSources, r.Name+".sources") }

// keyPath is where the key goes: apt tells armored from binary keys by the suffix.
func (r *Repository) keyPath() string {
	if strings.Contains(string(r.key), armor) {
		return path.Join(aptKeys, r.Name+".asc")
	}
	return path.Join(aptKeys, r.Name+".gpg")
}

// sources is the content of the file for apt.
func (r *Repository) sources() string {
	var b strings.Builder
	b.WriteString("# Kept by Vigo; changes are undone.\n")
	field := func(name string, values ...string) {
		if text := strings.Join(values, " "); text != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, text)
		}
	}
	if r.Enabled != nil && !*r.Enabled {
		field("Enabled", "no")
	}
	types := r.Types
	if len(types) == 0 {
		types = []string{"deb"}
	}
	field("Types", types...)
	field("URIs", r.URIs...)
	field("Suites", r.Suites...)
	field("Components", r.Components...)
	field("Architectures", r.Architectures...)
	signed := r.SignedBy
	if r.key != nil {
		signed = r.keyPath()
	}
	field("Signed-By", signed)
	return b.String()
}

// Plan implements [resource.Resource].
func (r *Repository) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	var plan resource.Plan
	wanted := map[string][]byte{}
	if r.Ensure != "absent" {
		wanted[r.sourcesPath()] = []byte(r.sources())
		if r.key != nil {
			wanted[r.keyPath()] = r.key
		}
	}
	var edits []repositoryEdit
	var changes []change.Change
	for _, f := range []struct{ field, name string }{
		{"key", path.Join(aptKeys, r.Name+".asc")}, {"key", path.Join(aptKeys, r.Name+".gpg")}, {"sources", r.sourcesPath()},
	} {
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
		plan.Do(func(ctx context.Context) error { return applyRepository(ctx, h, edits) }, changes...)
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
func applyRepository(ctx context.Context, h *host.Host, edits []repositoryEdit) error {
	for _, e := range edits {
		if err := e.write(ctx, h, e.to); err != nil {
			return err
		}
	}
	err := h.Packages.Refresh(ctx)
	if err == nil || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	err = fmt.Errorf("fetching the package lists (the change was taken back): %w", err)
	for _, e := range edits {
		// The run may be over; the files must be put back all the same.
		if undo := e.write(context.WithoutCancel(ctx), h, e.from); undo != nil {
			err = fmt.Errorf("%w; taking back the change: %w", err, undo)
		}
	}
	return err
}
