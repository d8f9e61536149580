package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// YumRepository is a source of packages for dnf and yum: a file in /etc/yum.repos.d with one section, as dnf.conf(5)
// describes it, with the key that packages are signed by beside it in /etc/pki/rpm-gpg. When it changes, the package
// lists are fetched; if that fails, the change is taken back, so that one bad source does not stop all others. Where
// skip_if_unavailable is set in /etc/dnf/dnf.conf, dnf passes over a source that it cannot read and reports no failure:
// the change stays then. Sources of apt are of the type repository.
//
// A key is taken into the database of rpm by dnf and yum when the first package is installed, and is left there when
// the repository goes.
//
//	resources:
//	  - yum_repository: docker-ce
//	    uris: [https://download.docker.com/linux/rhel/$releasever/$basearch/stable]
//	    key_file: docker.asc
type YumRepository struct {
	// Name of the repository: its identity for dnf and yum, and the name of its files.
	Name string `vigo:"identity"`

	// Ensure says whether the repository should be present (the default) or absent.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Description for people; the name if empty.
	Description string `yaml:"description"`

	// Enabled can be set to false to keep the files but not use the repository.
	Enabled *bool `yaml:"enabled"`

	// URIs of the repository, tried in this order. Variables of dnf such as $releasever and $basearch can be used.
	URIs []string `yaml:"uris"`

	// Mirrorlist is the URI of a list of mirrors.
	Mirrorlist string `yaml:"mirrorlist"`

	// Metalink is the URI of a metalink file, which names mirrors and the digest of the index.
	Metalink string `yaml:"metalink"`

	// CheckPackages says that packages must be signed; true if it is not given.
	CheckPackages *bool `yaml:"check_packages"`

	// CheckIndex says that the index must be signed too, which many repositories do not offer. If unset, the machine's
	// own configuration decides.
	CheckIndex *bool `yaml:"check_index"`

	// Key is the OpenPGP public key that packages are signed by, armored.
	Key string `yaml:"key"`

	// KeyFile is the same as a file of the module.
	KeyFile string `yaml:"key_file"`

	// SignedBy is the path of an armored key that is on the machine already.
	SignedBy string `yaml:"signed_by"`

	// Priority from 1 to 99: packages of a lower one are preferred. It is 99 if it is not given.
	Priority *int `yaml:"priority"`

	// ModuleHotfixes offers the packages even if a module of the distribution hides them.
	ModuleHotfixes bool `yaml:"module_hotfixes"`

	key []byte
}

var (
	_ resource.Validator = (*YumRepository)(nil)
	_ resource.Binder    = (*YumRepository)(nil)
	_ resource.Requirer  = (*YumRepository)(nil)
)

const (
	yumSources = "/etc/yum.repos.d"
	rpmKeys    = "/etc/pki/rpm-gpg"
)

// Validate implements [resource.Validator].
func (r *YumRepository) Validate() error {
	if err := checkRepositoryName(r.Name); err != nil {
		return err
	}
	if r.Name == "main" {
		return errors.New(`"main" is the section of dnf itself, and no name of a repository`)
	}
	if r.Ensure == "absent" {
		return nil
	}
	if len(r.URIs) == 0 && r.Mirrorlist == "" && r.Metalink == "" {
		return errors.New("yum_repository needs uris, mirrorlist or metalink")
	}
	for _, v := range append([]string{r.Mirrorlist, r.Metalink, r.SignedBy}, r.URIs...) {
		if strings.ContainsAny(v, " \t\r\n,") {
			return fmt.Errorf("%q holds white space or a comma", v)
		}
	}
	if strings.ContainsAny(r.Description, "\r\n") {
		return errors.New("description: is more than one line")
	}
	for _, given := range []struct {
		key  string
		uris []string
	}{{"uris", r.URIs}, {"mirrorlist", oneOrNone(r.Mirrorlist)}, {"metalink", oneOrNone(r.Metalink)}} {
		if err := checkRepositoryURIs(given.key, "let the server know the machine by its address, or use a proxy", given.uris...); err != nil {
			return err
		}
	}
	if r.SignedBy != "" {
		if err := checkPath(r.SignedBy); err != nil {
			return fmt.Errorf("signed_by: %w", err)
		}
	}
	if err := checkPriority(r.Priority); err != nil {
		return err
	}
	return checkRepositoryKey(r.Key, r.KeyFile, r.SignedBy)
}

func oneOrNone(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// Bind implements [resource.Binder].
func (r *YumRepository) Bind(c resource.Content) (err error) {
	r.key, err = armoredKey(c, r.Key, r.KeyFile)
	return err
}

// Requires implements [resource.Requirer].
func (r *YumRepository) Requires() []resource.ID {
	return repositoryNeeds(r.SignedBy)
}

func (r *YumRepository) sourcesPath() string { return path.Join(yumSources, r.Name+".repo") }

func (r *YumRepository) keyPath() string { return path.Join(rpmKeys, "RPM-GPG-KEY-"+r.Name) }

// sources is the content of the file for dnf and yum.
func (r *YumRepository) sources() string {
	b := newSourceSection(r.Name)
	b.field("name", orWord(r.Description, r.Name))
	b.field("baseurl", strings.Join(r.URIs, " "))
	b.field("mirrorlist", r.Mirrorlist)
	b.field("metalink", r.Metalink)
	b.flag("enabled", r.Enabled == nil || *r.Enabled)
	b.flag("gpgcheck", r.CheckPackages == nil || *r.CheckPackages)
	if r.CheckIndex != nil {
		b.flag("repo_gpgcheck", *r.CheckIndex)
	}
	b.key(r.key, r.keyPath(), r.SignedBy)
	if r.Priority != nil {
		b.field("priority", strconv.Itoa(*r.Priority))
	}
	if r.ModuleHotfixes {
		b.flag("module_hotfixes", true)
	}
	return b.String()
}

// Plan implements [resource.Resource].
func (r *YumRepository) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	wanted := map[string][]byte{}
	if r.Ensure != "absent" {
		dir, err := look(h, yumSources)
		if err != nil {
			return resource.Plan{}, err
		}
		if dir == nil {
			err := fmt.Errorf("%s is not there: this machine has neither dnf nor yum", yumSources)
			return resource.Plan{}, fault.WithHint(err, "sources of apt are of the type repository, those of zypper of zypper_repository")
		}
		wanted[r.sourcesPath()] = []byte(r.sources())
		if r.key != nil {
			wanted[r.keyPath()] = r.key
		}
	}
	return planRepository(h, wanted, []repositoryFile{{"key", r.keyPath()}, {"sources", r.sourcesPath()}}, nil)
}
