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

// ZypperRepository is a source of packages for zypper: a file in /etc/zypp/repos.d, with the key its packages are signed by in
// /etc/pki/rpm-gpg. When it changes, the key is given to rpm, whose keys zypper trusts, and the metadata is fetched; if that
// fails, the files are taken back. The key stays with rpm when the repository goes.
//
//	resources:
//	  - zypper_repository: packman
//	    uris: [https://ftp.gwdg.de/pub/linux/misc/packman/suse/openSUSE_Leap_$releasever/]
//	    key_file: packman.asc
//	    priority: 90
type ZypperRepository struct {
	// Name of the repository: its alias for zypper, and the name of its files.
	Name string `vigo:"identity"`

	// Ensure says whether the repository should be present (the default) or absent.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Description for people; the name if empty.
	Description string `yaml:"description"`

	// Enabled can be set to false to keep the files but not use the repository.
	Enabled *bool `yaml:"enabled"`

	// Autorefresh has zypper look for newer metadata by itself before it does something; true if it is not given.
	Autorefresh *bool `yaml:"autorefresh"`

	// URIs of the repository, tried in this order. Variables of zypper such as $releasever and $basearch can be used.
	URIs []string `yaml:"uris"`

	// Mirrorlist is the URI of a list of mirrors.
	Mirrorlist string `yaml:"mirrorlist"`

	// CheckPackages says that what is not signed, index or packages, is refused; true if it is not given.
	CheckPackages *bool `yaml:"check_packages"`

	// Key is the OpenPGP public key that packages are signed by, armored.
	Key string `yaml:"key"`

	// KeyFile is the same as a file of the module.
	KeyFile string `yaml:"key_file"`

	// SignedBy is the path of an armored key that is on the machine already.
	SignedBy string `yaml:"signed_by"`

	// Priority from 1 to 99: packages of a lower one are preferred, whatever their version. It is 99 if it is not given.
	Priority *int `yaml:"priority"`

	// KeepPackages keeps the packages that were fetched.
	KeepPackages bool `yaml:"keep_packages"`

	key []byte
}

var (
	_ resource.Validator = (*ZypperRepository)(nil)
	_ resource.Binder    = (*ZypperRepository)(nil)
	_ resource.Requirer  = (*ZypperRepository)(nil)
)

const zypperSources = "/etc/zypp/repos.d"

// Validate implements [resource.Validator].
func (r *ZypperRepository) Validate() error {
	if err := checkRepositoryName(r.Name); err != nil || r.Ensure == "absent" {
		return err
	}
	if len(r.URIs) == 0 && r.Mirrorlist == "" {
		return errors.New("zypper_repository needs uris or mirrorlist")
	}
	for _, v := range append([]string{r.Mirrorlist, r.SignedBy}, r.URIs...) {
		if strings.ContainsAny(v, " \t\r\n") {
			return fmt.Errorf("%q holds white space", v)
		}
	}
	if err := oneLine("description", r.Description); err != nil {
		return err
	}
	const instead = "put it in a file in /etc/zypp/credentials.d"
	if err := checkRepositoryURIs("uris", instead, r.URIs...); err != nil {
		return err
	}
	if err := checkRepositoryURIs("mirrorlist", instead, oneOrNone(r.Mirrorlist)...); err != nil {
		return err
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

// Bind implements [resource.Binder].
func (r *ZypperRepository) Bind(c resource.Content) (err error) {
	r.key, err = armoredKey(c, r.Key, r.KeyFile)
	return err
}

// Requires implements [resource.Requirer].
func (r *ZypperRepository) Requires() []resource.ID { return repositoryNeeds(r.SignedBy) }

func (r *ZypperRepository) sourcesPath() string { return path.Join(zypperSources, r.Name+".repo") }

func (r *ZypperRepository) keyPath() string { return path.Join(rpmKeys, "RPM-GPG-KEY-"+r.Name) }

// sources is the content of the file for zypper.
func (r *ZypperRepository) sources() string {
	b := newSourceSection(r.Name)
	b.field("name", orWord(r.Description, r.Name))
	b.flag("enabled", r.Enabled == nil || *r.Enabled)
	b.flag("autorefresh", r.Autorefresh == nil || *r.Autorefresh)
	b.field("baseurl", strings.Join(r.URIs, "\n        "))
	b.field("mirrorlist", r.Mirrorlist)
	b.flag("gpgcheck", r.CheckPackages == nil || *r.CheckPackages)
	b.key(r.key, r.keyPath(), r.SignedBy)
	if r.Priority != nil {
		b.field("priority", strconv.Itoa(*r.Priority))
	}
	if r.KeepPackages {
		b.flag("keeppackages", true)
	}
	return b.String()
}

// Plan implements [resource.Resource].
func (r *ZypperRepository) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	wanted := map[string][]byte{}
	var trust func(context.Context) error
	if r.Ensure != "absent" {
		dir, err := look(h, "/etc/zypp")
		if err != nil {
			return resource.Plan{}, err
		}
		if dir == nil {
			err := errors.New("/etc/zypp is not there: this machine has no zypper")
			return resource.Plan{}, fault.WithHint(err, "sources of dnf are of the type yum_repository, those of apt of the type repository")
		}
		wanted[r.sourcesPath()] = []byte(r.sources())
		key := r.SignedBy
		if r.key != nil {
			key = r.keyPath()
			wanted[key] = r.key
		}
		if key != "" {
			trust = func(ctx context.Context) error { return runProgram(ctx, h, "rpm", "--import", key) }
		}
	}
	return planRepository(h, wanted, []repositoryFile{{"key", r.keyPath()}, {"sources", r.sourcesPath()}}, trust)
}
