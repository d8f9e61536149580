package hosttest

import (
	"context"
	"fmt"
	"slices"

	"vigo.dev/pkg/host"
)

// kernel implements host.Kernel.
type kernel struct{ m *Machine }

var _ host.Kernel = kernel{}

// Sysctl implements host.Kernel.
func (k kernel) Sysctl(_ context.Context, key string) (string, error) {
	k.m.mu.Lock()
	defer k.m.mu.Unlock()
	if err := k.m.failure("sysctl", key); err != nil {
		return "", fmt.Errorf("sysctl %s: %w", key, err)
	}
	v, ok := k.m.sysctls[key]
	if !ok {
		return "", notFound("sysctl", key)
	}
	return v, nil
}

// SetSysctl implements host.Kernel.
func (k kernel) SetSysctl(_ context.Context, key, value string) error {
	k.m.mu.Lock()
	defer k.m.mu.Unlock()
	k.m.wrote("sysctl %s", key)
	for _, word := range []string{"sysctl", "set-sysctl"} {
		if err := k.m.failure(word, key); err != nil {
			return fmt.Errorf("setting sysctl %s: %w", key, err)
		}
	}
	if _, ok := k.m.sysctls[key]; !ok {
		return notFound("sysctl", key)
	}
	k.m.sysctls[key] = value
	return nil
}

// Hostname implements host.Kernel.
func (k kernel) Hostname(context.Context) (string, error) {
	k.m.mu.Lock()
	defer k.m.mu.Unlock()
	if err := k.m.failure("hostname", ""); err != nil {
		return "", err
	}
	return k.m.hostname, nil
}

// SetHostname implements host.Kernel.
func (k kernel) SetHostname(_ context.Context, name string) error {
	k.m.mu.Lock()
	defer k.m.mu.Unlock()
	k.m.wrote("hostname %s", name)
	for _, word := range []string{"hostname", "set-hostname"} {
		if err := k.m.failure(word, ""); err != nil {
			return err
		}
	}
	k.m.hostname = name
	return nil
}

// Interfaces implements host.Kernel.
func (k kernel) Interfaces(context.Context) ([]host.Interface, error) {
	k.m.mu.Lock()
	defer k.m.mu.Unlock()
	if err := k.m.failure("interfaces", ""); err != nil {
		return nil, err
	}
	return slices.Clone(k.m.interfaces), nil
}

// mount is one mounted file system and how it behaves.
type mount struct {
	host.Mount
	busy bool
}

// mounts implements host.Mounts.
type mounts struct{ m *Machine }

var _ host.Mounts = mounts{}

// All implements host.Mounts.
func (v mounts) All(context.Context) ([]host.Mount, error) {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	if err := v.m.failure("mounts", ""); err != nil {
		return nil, err
	}
	var all []host.Mount
	for _, mt := range v.m.mounts {
		c := mt.Mount
		c.Options = slices.Clone(c.Options)
		all = append(all, c)
	}
	return all, nil
}

// topmost finds what is mounted at path.
func (m *Machine) topmost(path string) int {
	for i := len(m.mounts) - 1; i >= 0; i-- {
		if m.mounts[i].Path == path {
			return i
		}
	}
	return -1
}

// Mount implements host.Mounts. The directory must exist.
func (v mounts) Mount(_ context.Context, mt host.Mount) error {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	v.m.wrote("mount %s", mt.Path)
	if err := v.m.failure("mount", mt.Path); err != nil {
		return fmt.Errorf("mounting %s: %w", mt.Path, err)
	}
	if _, n, err := v.m.look("stat", mt.Path, true); err != nil {
		return fmt.Errorf("mounting %w", err)
	} else if n.kind != host.Dir {
		return fmt.Errorf("mounting %s: is not a directory", mt.Path)
	}
	v.m.mounts = append(v.m.mounts, &mount{Mount: mt})
	return nil
}

// Remount implements host.Mounts.
func (v mounts) Remount(_ context.Context, mt host.Mount) error {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	v.m.wrote("remount %s", mt.Path)
	if err := v.m.failure("mount", mt.Path); err != nil {
		return fmt.Errorf("remounting %s: %w", mt.Path, err)
	}
	i := v.m.topmost(mt.Path)
	if i < 0 {
		return fmt.Errorf("remounting: %w", notFound("mount", mt.Path))
	}
	v.m.mounts[i].Options = slices.Clone(mt.Options)
	return nil
}

// Unmount implements host.Mounts.
func (v mounts) Unmount(_ context.Context, path string) error {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	v.m.wrote("unmount %s", path)
	i := v.m.topmost(path)
	switch {
	case i < 0:
		return fmt.Errorf("unmounting: %w", notFound("mount", path))
	case v.m.mounts[i].busy:
		return fmt.Errorf("unmounting %s: %w", path, host.ErrBusy)
	}
	v.m.mounts = slices.Delete(v.m.mounts, i, i+1)
	return nil
}

// Usage implements host.Mounts.
func (v mounts) Usage(_ context.Context, path string) (host.Usage, error) {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	if err := v.m.failure("usage", path); err != nil {
		return host.Usage{}, fmt.Errorf("usage of %s: %w", path, err)
	}
	u, ok := v.m.usages[path]
	if !ok {
		return host.Usage{}, notFound("usage", path)
	}
	return u, nil
}
