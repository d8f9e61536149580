package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// sizes returns the size of a file in MB (10⁶ bytes), plain and as xz makes it by default.
func sizes(ctx context.Context, path string) (plain, packed float64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	n, err := packedSize(ctx, path)
	return float64(info.Size()) / 1e6, float64(n) / 1e6, err
}

// packedSize counts what xz writes.
func packedSize(ctx context.Context, path string) (int64, error) {
	if _, err := exec.LookPath("xz"); err != nil {
		return 0, fmt.Errorf("%w (apt-get install xz-utils)", err)
	}
	cmd := exec.CommandContext(ctx, "xz", "--stdout", "-6", path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	n, copyErr := io.Copy(io.Discard, out)
	return n, errors.Join(copyErr, cmd.Wait())
}
