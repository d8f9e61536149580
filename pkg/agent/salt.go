package agent

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"vigo.dev/pkg/atomicfile"
)

// saltFile keys the digests over what holds secrets, on a host without a key of its own: the journal of another host, or a list
// of likely passwords, tells nothing about them.
const saltFile = "apply.salt"

const saltSize = 32

// salt reads the salt of this host, and makes it when it is missing. With look nothing is written.
func (s State) salt(look bool) ([]byte, error) {
	salt, err := os.ReadFile(s.Path(saltFile))
	if err == nil && len(salt) == saltSize {
		return salt, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the salt of this host: %w", err)
	}
	salt = make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails: see its documentation
	if look {
		return salt, nil
	}
	return salt, atomicfile.Write(s.Path(saltFile), salt, 0o600)
}
