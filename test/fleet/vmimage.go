//go:build linux

package fleet

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
)

// What is in the directory of an image with a kernel.
const (
	diskFile   = "disk.ext4"
	kernelFile = "linux"
)

// diskSize is that of the root file system, most of which is a hole.
const diskSize = "4G"

// kernelScript is what is done inside a copy of the image.
//
//go:embed guest/finish.sh
var kernelScript string

// consoleScript is what runs commands inside the machine.
//
//go:embed guest/console.sh
var consoleScript string

// withKernel is what an image gets on top to boot by itself. Its hash changes with the image below.
type withKernel struct {
	Below   string
	Recipe  recipe
	Console string
	Size    string
}

func kernelRecipe(below string) withKernel {
	return withKernel{
		Below: below, Console: consoleScript, Size: diskSize,
		Recipe: recipe{Suite: debian12.Suite, Repo: []string{"e2fsprogs", "kmod", "user-mode-linux"}, Finish: kernelScript},
	}
}

// KernelImage is [Image] for machines that have a kernel of their own: the same Debian as a disk, with the kernel that Debian
// builds to run as a process.
func KernelImage(ctx context.Context, cacheDir string) (string, error) {
	below, err := Image(ctx, cacheDir)
	if err != nil {
		return "", err
	}
	r := kernelRecipe(filepath.Base(below))
	return cached(ctx, cacheDir, "disk-"+hashOf(r), func(dir, scratch string) error { return r.fill(ctx, below, dir, scratch) })
}

// fill makes disk and kernel in a directory.
func (r withKernel) fill(ctx context.Context, below, dir, scratch string) error {
	root := filepath.Join(scratch, "root")
	if err := run(build(ctx, "cp", "--archive", "--reflink=auto", below, root)); err != nil {
		return fmt.Errorf("copying the image: %w", err)
	}
	src, err := findSources(ctx, r.Recipe.Suite)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "usr/local/lib/fleet-console"), []byte(r.Console), 0o755); err != nil {
		return err
	}
	if err := r.Recipe.complete(ctx, src, root, scratch); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(root, "fleet-kernel"), filepath.Join(dir, kernelFile)); err != nil {
		return err
	}
	if err := run(build(ctx, "mkfs.ext4", "-q", "-d", root, filepath.Join(dir, diskFile), r.Size)); err != nil {
		return fmt.Errorf("making the disk: %w", err)
	}
	return nil
}
