package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// GPGKey is a file of OpenPGP public keys, such as apt reads for signed-by. Each key in it must be one of the declared
// fingerprints, so a key that was exchanged in the policy repository or at its source never gets to a machine. A path that
// ends in .asc gets the keys in armor, any other the binary form that gpg --dearmor makes. No program is needed.
//
//	resources:
//	  - gpg_key: /etc/apt/keyrings/example.gpg
//	    source: example.asc
//	    fingerprints: [EB4C1BFD4F042F6DDDCCEC917721F63BD38B4796]
type GPGKey struct {
	// Path of the file, absolute; mode 0644, owned by root.
	Path string `vigo:"identity"`

	// Ensure says whether the file should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Key is the keys in armor, as text.
	Key string `yaml:"key"`

	// Source is a file below files/ of the module that holds the keys, in armor or binary.
	Source string `yaml:"source"`

	// Fingerprints are those of the keys: 40 hexadecimal digits (64 for version 6), blanks allowed. Each must be in the file.
	Fingerprints []string `yaml:"fingerprints"`

	content []byte
}

var (
	_ resource.Validator = (*GPGKey)(nil)
	_ resource.Binder    = (*GPGKey)(nil)
	_ resource.Requirer  = (*GPGKey)(nil)

	fingerprintForm = regexp.MustCompile(`^([0-9A-F]{40}|[0-9A-F]{64})$`)
)

// Validate implements [resource.Validator].
func (k *GPGKey) Validate() error {
	if err := checkPath(k.Path); err != nil {
		return err
	}
	if k.Ensure == "absent" {
		return nil
	}
	if (k.Key == "") == (k.Source == "") {
		return errors.New(`needs one of the keys "key" and "source"`)
	}
	if len(k.Fingerprints) == 0 {
		return fault.WithHint(errors.New("needs fingerprints"), "gpg --show-keys prints them; compare them with what the owner of the key publishes")
	}
	for _, f := range k.wanted() {
		if !fingerprintForm.MatchString(f) {
			return fault.WithHint(fmt.Errorf("fingerprints: %q is no fingerprint", f), "write all 40 hexadecimal digits: a short identifier can be forged")
		}
	}
	if k.Key != "" {
		return k.take([]byte(k.Key))
	}
	return nil
}

// wanted are the fingerprints in one form.
func (k *GPGKey) wanted() []string {
	var all []string
	for _, f := range k.Fingerprints {
		all = append(all, strings.ToUpper(strings.Join(strings.Fields(f), "")))
	}
	return all
}

// Bind implements [resource.Binder].
func (k *GPGKey) Bind(content resource.Content) error {
	if k.Ensure == "absent" {
		return nil
	}
	data := []byte(k.Key)
	if k.Source != "" {
		var err error
		if data, err = readBlob(content, k.Source, maxKey); err != nil {
			return fmt.Errorf("source: %w", err)
		}
	}
	return k.take(data)
}

// take checks the keys and renders them as the file holds them.
func (k *GPGKey) take(data []byte) error {
	binary, err := dearmor(data)
	if err != nil {
		return err
	}
	got, err := pgpFingerprints(binary)
	if err != nil {
		return err
	}
	for _, f := range got {
		if !slices.Contains(k.wanted(), f) {
			return fault.WithHint(fmt.Errorf("it holds the key %s, which is none of fingerprints", f), "do not add it before its owner has confirmed it")
		}
	}
	for _, f := range k.wanted() {
		if !slices.Contains(got, f) {
			return fmt.Errorf("it does not hold the key %s", f)
		}
	}
	k.content = binary
	if path.Ext(k.Path) == ".asc" {
		k.content = enarmor(binary)
	}
	return nil
}

// Requires implements [resource.Requirer].
func (k *GPGKey) Requires() []resource.ID { return above(k.Path) }

// Plan implements [resource.Resource].
func (k *GPGKey) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	if k.Ensure == "absent" {
		return gone(k.Path).Plan(ctx, h)
	}
	return ownedFile(k.Path, string(k.content)).Plan(ctx, h)
}
