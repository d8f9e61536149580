//go:build linux

package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// hashOf returns the short hash that names what is made after a recipe.
func hashOf(recipe any) string {
	text, err := json.Marshal(recipe)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:12]
}

// unfinished begins the names of directories in the cache that are being filled.
const unfinished = ".image-"

// cached returns a directory of the cache, and has it filled when it is not there; what is in scratch is
// thrown away. It is safe against being interrupted,
// and of several processes one fills it while the others wait.
func cached(ctx context.Context, cacheDir, name string, fill func(dir, scratch string) error) (string, error) {
	final := filepath.Join(cacheDir, name)
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		return "", fmt.Errorf("building %s: %w", name, err)
	}
	lock, err := lockFile(ctx, filepath.Join(cacheDir, "image.lock"))
	if err != nil {
		return "", fmt.Errorf("building %s: %w", name, err)
	}
	defer lock.Close()
	if _, err := os.Stat(final); !errors.Is(err, fs.ErrNotExist) {
		return final, err
	}
	if err := fillBeside(cacheDir, final, fill); err != nil {
		return "", fmt.Errorf("building %s: %w", name, err)
	}
	return final, nil
}

// fillBeside fills a directory beside its final place and moves it there when it is whole. The caller holds the lock.
func fillBeside(cacheDir, final string, fill func(dir, scratch string) error) error {
	old, err := filepath.Glob(filepath.Join(cacheDir, unfinished+"*"))
	if err != nil {
		return err
	}
	for _, dir := range old {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("removing what an interrupted build left: %w", err)
		}
	}
	dir, err := os.MkdirTemp(cacheDir, unfinished)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	scratch, err := os.MkdirTemp(cacheDir, unfinished)
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if err := fill(dir, scratch); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	return os.Rename(dir, final)
}
