package gitsource

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"vigo.dev/pkg/atomicfile"
)

const acceptedName = "accepted.json"

// accepted is what must survive the loss of the copy: which commit the branch may not lose.
type accepted struct {
	URL    string `json:"url,omitempty"`
	Branch string `json:"branch"`
	Commit string `json:"commit"`
}

func readAccepted(dir string) (accepted, error) {
	var a accepted
	path := filepath.Join(dir, acceptedName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return a, fmt.Errorf("reading the accepted commit: %w", err)
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return a, fmt.Errorf("reading %s: %w", path, err)
	}
	return a, nil
}

func (a accepted) write(dir string) error {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, acceptedName), append(data, '\n'), 0o600)
}
