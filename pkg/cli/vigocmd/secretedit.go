package vigocmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/machine"
)

func newSecretEditCommand(env *cli.Env) *cobra.Command {
	var o secretOptions
	c := &cobra.Command{
		Use:   "edit NAME",
		Short: "Change a secret in an editor",
		Long: `Change a secret in $VISUAL or $EDITOR. The value is in a file of mode 0600 meanwhile, in memory where the machine has a tmpfs,
which is removed afterwards; an editor may keep copies of its own elsewhere. Nothing is written when nothing changed.`,
		Example: "  EDITOR='vim -n' vigo secret edit tls/key",
		Args:    cli.Args(1, 1),
		RunE:    func(c *cobra.Command, args []string) error { return runSecretEdit(c.Context(), env, o, args[0]) },
	}
	o.add(c, true)
	return c
}

func runSecretEdit(ctx context.Context, env *cli.Env, o secretOptions, name string) error {
	file, err := o.file(name)
	if err != nil {
		return err
	}
	if _, err := o.recipients(); err != nil {
		return err
	}
	var old []byte
	if _, err := os.Stat(file); err == nil {
		if old, err = o.open(ctx, env, name); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fresh, err := edited(ctx, env, filepath.Base(name), old)
	if err != nil {
		return err
	}
	switch {
	case bytes.Equal(fresh, old):
		env.Say("%s: nothing was changed", env.Name)
		return nil
	case len(fresh) == 0:
		return errors.New("the value is empty; nothing was changed")
	}
	return o.keep(file, fresh)
}

// edited lets the person change a value in an editor.
func edited(ctx context.Context, env *cli.Env, name string, old []byte) (fresh []byte, err error) {
	argv, err := editor(env)
	if err != nil {
		return nil, err
	}
	memory, dir := scratch(env)
	if !memory {
		env.Say("%s: hint: there is no tmpfs here: the value is in a file below %s while it is edited", env.Name, dir)
	}
	dir, err = os.MkdirTemp(dir, "vigo-secret-") // mode 0700
	if err != nil {
		return nil, fmt.Errorf("editing a secret: %w", err)
	}
	path := filepath.Join(dir, name)
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.WriteFile(path, old, 0o600); err != nil {
		return nil, fmt.Errorf("editing a secret: %w", err)
	}
	if err := machine.Interactive(ctx, append(argv, path)); err != nil {
		return nil, fmt.Errorf("editing a secret: %w; nothing was changed", err)
	}
	if fresh, err = os.ReadFile(path); err != nil {
		return nil, fmt.Errorf("editing a secret: %w", err)
	}
	if !bytes.HasSuffix(old, []byte("\n")) { // which editors add
		fresh = bytes.TrimSuffix(fresh, []byte("\n"))
	}
	return fresh, nil
}

func editor(env *cli.Env) ([]string, error) {
	for _, name := range []string{"VISUAL", "EDITOR"} {
		if argv := strings.Fields(env.Getenv(name)); len(argv) > 0 {
			return argv, nil
		}
	}
	return nil, fault.WithHint(errors.New("no editor is named"), "export EDITOR=vi, or use: vigo secret set")
}

// scratch returns a folder for short-lived files, and whether it is in memory.
func scratch(env *cli.Env) (memory bool, dir string) {
	for _, dir := range []string{env.Getenv("XDG_RUNTIME_DIR"), "/dev/shm"} {
		var st unix.Statfs_t
		if dir != "" && unix.Statfs(dir, &st) == nil && int64(st.Type) == unix.TMPFS_MAGIC && unix.Access(dir, unix.W_OK) == nil {
			return true, dir
		}
	}
	return false, os.TempDir()
}
