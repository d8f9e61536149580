package registry

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"vigo.dev/pkg/atomicfile"
)

const (
	indexName  = "index.json"
	markerName = "oci-layout"
)

// mend removes what a registry that was killed left half-written, and puts an index that cannot be read aside: the
// repository then looks empty, and whoever publishes fills it again.
func mend(dir string, log *slog.Logger) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := e.Name()
		switch {
		case e.IsDir() && name == "_uploads":
			if err := os.RemoveAll(path); err != nil {
				return err
			}
			return fs.SkipDir
		case e.IsDir() && name == "blobs":
			return fs.SkipDir
		case e.IsDir():
			return nil
		case strings.HasPrefix(name, indexName+"."):
			return os.Remove(path)
		case name == indexName || name == markerName:
			return mendJSON(path, log)
		}
		return nil
	})
}

func mendJSON(path string, log *slog.Logger) error {
	data, err := os.ReadFile(path)
	if err != nil || json.Valid(data) {
		return err
	}
	if log != nil {
		log.Warn("a file of the registry was cut off and is put aside", "path", path)
	}
	aside := filepath.Join(filepath.Dir(path), "broken-"+filepath.Base(path))
	return errors.Join(os.Rename(path, aside), atomicfile.SyncDir(filepath.Dir(path)))
}
