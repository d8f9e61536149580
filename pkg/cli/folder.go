package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"vigo.dev/pkg/fault"
)

// Folder returns the files of the folder that holds a policy. That the folder itself is not there is told apart from
// what is missing in it.
func Folder(dir string) (fs.FS, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("opening the policy: there is no folder %s", dir)
	case err != nil:
		return nil, fmt.Errorf("opening the policy: %w", err)
	case !info.IsDir():
		return nil, fault.WithHint(fmt.Errorf("opening the policy: %s is a file", dir), "name the folder that holds fleet.yaml")
	}
	return os.DirFS(dir), nil
}
