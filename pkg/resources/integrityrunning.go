package resources

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
)

// GoldenExecutable is a program that may run.
type GoldenExecutable struct {
	// Path of the program, absolute.
	Path string `yaml:"path" vigo:"required"`

	// Digests that it may have, each as sha256: and 64 hexadecimal digits.
	Digests []string `yaml:"digests" vigo:"required"`
}

// runningFound says which processes run something else than they should: what they were started from is read from the kernel,
// whatever is at its path by now.
func (m *Integrity) runningFound(ctx context.Context, h *host.Host) (found []string, looked int, err error) {
	if len(m.Executables) == 0 && !m.NoDeleted && !m.OnlyThese {
		return nil, 0, nil
	}
	all, err := h.Processes.All(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("listing the processes: %w", err)
	}
	for _, p := range all {
		wrong, err := m.wrongProcess(h, p)
		if err != nil {
			return nil, 0, err
		}
		looked++
		if wrong != "" {
			found = append(found, wrong)
		}
	}
	return found, looked, nil
}

// wrongProcess says what is wrong with one process; nothing if it has ended.
func (m *Integrity) wrongProcess(h *host.Host, p host.Process) (string, error) {
	exe := fmt.Sprintf("/proc/%d/exe", p.PID)
	is, err := look(h, exe)
	if err != nil || is == nil {
		return "", err
	}
	file, deleted := strings.CutSuffix(is.Target, " (deleted)")
	who := fmt.Sprintf("process %d runs %s", p.PID, file)
	at := slices.IndexFunc(m.Executables, func(g GoldenExecutable) bool { return g.Path == file })
	switch {
	case deleted && m.NoDeleted:
		return who + ", which has been deleted or replaced since", nil
	case at < 0 && m.OnlyThese:
		return who + ", which is not in the manifest", nil
	case at < 0:
		return "", nil
	}
	digest, err := h.FS.Digest(exe)
	if errors.Is(err, host.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", exe, err)
	}
	if !slices.Contains(m.Executables[at].Digests, digest) {
		return who + " with the digest " + digest, nil
	}
	return "", nil
}
