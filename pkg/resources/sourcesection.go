package resources

import (
	"bytes"
	"fmt"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/resource"
)

// A sourceSection is the text of a file that dnf, yum and zypper read a repository from.
type sourceSection struct{ strings.Builder }

func newSourceSection(name string) *sourceSection {
	b := &sourceSection{}
	fmt.Fprintf(b, "# Kept by Vigo; changes are undone.\n[%s]\n", name)
	return b
}

// field writes a line, unless there is nothing to say.
func (b *sourceSection) field(name, value string) {
	if value != "" {
		fmt.Fprintf(b, "%s=%s\n", name, value)
	}
}

func (b *sourceSection) flag(name string, yes bool) {
	if yes {
		b.field(name, "1")
	} else {
		b.field(name, "0")
	}
}

// key names the key that is written, or one that is there already.
func (b *sourceSection) key(key []byte, written, there string) {
	switch {
	case key != nil:
		b.field("gpgkey", "file://"+written)
	case there != "":
		b.field("gpgkey", "file://"+there)
	}
}

// armoredKey is repositoryKey for programs that read no binary keys.
func armoredKey(c resource.Content, text, file string) ([]byte, error) {
	key, err := repositoryKey(c, text, file)
	if err == nil && key != nil && !bytes.Contains(key, []byte(armor)) {
		err = fault.WithHint(fmt.Errorf("key_file: does not hold %s", armor), "rpm reads no binary keys: export it with gpg --armor")
	}
	return key, err
}

func checkPriority(priority *int) error {
	if priority != nil && (*priority < 1 || *priority > 99) {
		return fmt.Errorf("priority: %d is not between 1 and 99", *priority)
	}
	return nil
}

// repositoryNeeds is what comes before a repository: certificates, and a key that the policy lays down by itself.
func repositoryNeeds(signedBy string) []resource.ID {
	ids := []resource.ID{{Type: "package", Name: "ca-certificates"}}
	if signedBy != "" {
		ids = append(ids, resource.ID{Type: "file", Name: signedBy}, resource.ID{Type: "download", Name: signedBy})
	}
	return ids
}
