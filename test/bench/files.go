package main

import (
	"os"
	"path/filepath"
)

// writeAll writes documents, by name, below a directory.
func writeAll(dir string, docs map[string]string) error {
	for name, text := range docs {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
