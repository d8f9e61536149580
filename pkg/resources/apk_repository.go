package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// ApkRepository is a source of packages for apk: a file in /etc/apk/repositories.d, see apk-repositories(5), with the key its
// index is signed by in /etc/apk/keys. When it changes, the indexes are fetched; if that fails, the change is taken back.
// Lines of /etc/apk/repositories are left alone: the type line changes those.
//
//	resources:
//	  - apk_repository: acme
//	    uris: [https://packages.example.com/alpine/v3.20/main]
//	    key_file: acme.rsa.pub
//	    key_name: acme-5f3e1c2a.rsa.pub
type ApkRepository struct {
	// Name of the repository, and of its file.
	Name string `vigo:"identity"`

	// Ensure says whether the repository should be present (the default) or absent.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Enabled can be set to false to keep the file but not use the repository.
	Enabled *bool `yaml:"enabled"`

	// URIs of the repository, each a URL, or the path of a directory.
	URIs []string `yaml:"uris"`

	// Tag keeps apk from using the repository, but for packages that are asked for by name@tag.
	Tag string `yaml:"tag"`

	// Key is the public key that the index is signed by, in PEM.
	Key string `yaml:"key"`

	// KeyFile is the same as a file of the module.
	KeyFile string `yaml:"key_file"`

	// KeyName is the name of the key in /etc/apk/keys. Signatures name the key by it, so it cannot be chosen.
	KeyName string `yaml:"key_name"`

	key []byte
}

var (
	_ resource.Validator = (*ApkRepository)(nil)
	_ resource.Binder    = (*ApkRepository)(nil)
	_ resource.Requirer  = (*ApkRepository)(nil)
)

const (
	apkSources = "/etc/apk/repositories.d"
	apkKeys    = "/etc/apk/keys"
	pemKey     = "-----BEGIN PUBLIC KEY-----"
)

// Validate implements [resource.Validator].
func (r *ApkRepository) Validate() error {
	if err := checkRepositoryName(r.Name); err != nil {
		return err
	}
	if r.KeyName != "" && (!plainWord(r.KeyName, ".@+") || !strings.HasSuffix(r.KeyName, ".pub")) {
		return fault.WithHint(fmt.Errorf("key_name: %q is not the name of a key", r.KeyName), "such as acme-5f3e1c2a.rsa.pub")
	}
	if r.Ensure == "absent" {
		return nil
	}
	if len(r.URIs) == 0 {
		return errors.New("apk_repository needs uris")
	}
	for _, uri := range r.URIs {
		if strings.ContainsAny(uri, " \t\r\n") {
			return fmt.Errorf("%q holds white space", uri)
		}
		if strings.HasPrefix(uri, "/") {
			continue
		}
		if err := checkRepositoryURIs("uris", "let the server know the machine by its address, or use a proxy", uri); err != nil {
			return err
		}
	}
	if r.Tag != "" && !plainWord(r.Tag, ".") {
		return fault.WithHint(fmt.Errorf("tag: %q is not the name of a tag", r.Tag), "without the @")
	}
	switch given := r.Key != "" || r.KeyFile != ""; {
	case r.Key != "" && r.KeyFile != "":
		return errors.New("key and key_file exclude each other")
	case given != (r.KeyName != ""):
		return errors.New("a key needs key_name, and key_name a key")
	case r.Key != "" && !strings.Contains(r.Key, pemKey):
		return fmt.Errorf("key: does not hold %s", pemKey)
	}
	return nil
}

// Bind implements [resource.Binder].
func (r *ApkRepository) Bind(c resource.Content) (err error) {
	r.key, err = repositoryKey(c, r.Key, r.KeyFile)
	if err == nil && r.key != nil && !strings.Contains(string(r.key), pemKey) {
		err = fmt.Errorf("key_file: does not hold %s", pemKey)
	}
	return err
}

// Requires implements [resource.Requirer].
func (r *ApkRepository) Requires() []resource.ID { return repositoryNeeds("") }

func (r *ApkRepository) sourcesPath() string { return path.Join(apkSources, r.Name+".list") }

// sources is the content of the file for apk.
func (r *ApkRepository) sources() string {
	var b strings.Builder
	b.WriteString("# Kept by Vigo; changes are undone.\n")
	for _, uri := range r.URIs {
		if r.Tag != "" {
			uri = "@" + r.Tag + " " + uri
		}
		if r.Enabled != nil && !*r.Enabled {
			uri = "#" + uri
		}
		b.WriteString(uri + "\n")
	}
	return b.String()
}

// Plan implements [resource.Resource].
func (r *ApkRepository) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	wanted := map[string][]byte{}
	files := []repositoryFile{{"sources", r.sourcesPath()}}
	if r.KeyName != "" {
		files = append([]repositoryFile{{"key", path.Join(apkKeys, r.KeyName)}}, files...)
	}
	if r.Ensure != "absent" {
		dir, err := look(h, "/etc/apk")
		if err != nil {
			return resource.Plan{}, err
		}
		if dir == nil {
			err := errors.New("/etc/apk is not there: this machine has no apk")
			return resource.Plan{}, fault.WithHint(err, "sources of apt are of the type repository")
		}
		wanted[r.sourcesPath()] = []byte(r.sources())
		if r.key != nil {
			wanted[path.Join(apkKeys, r.KeyName)] = r.key
		}
	}
	return planRepository(h, wanted, files, nil)
}
