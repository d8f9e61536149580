package vigocmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/policyfmt"
	"vigo.dev/pkg/resources"
)

type fmtOptions struct{ check, diff bool }

func newFmtCommand(env *cli.Env) *cobra.Command {
	var o fmtOptions
	c := &cobra.Command{
		Use:   "fmt [DIR | FILE | -]...",
		Short: "Lay out the documents of a policy repository in one way",
		Long: `Lay out the documents of a policy repository in one way: two spaces, the keys of a resource in the order of its manual, file
modes in double quotes. Comments stay with what they stand above or behind, and no value changes.

Of a folder these are fleet.yaml, roles, modules and alerts with their tests, and data; a file that is named may be any. What was
changed is listed. If one file is no YAML, no file is changed. With - the document is read from standard input, and the
result written to standard output.

EXIT STATUS
  0  all files are laid out    1  with --check or --diff: some are not; or a file is no YAML, or cannot be read`,
		Example: "  vigo fmt\n  vigo fmt --check policies-example\n  vigo fmt --diff modules/web/module.yaml\n  vigo fmt - <module.yaml",
		Args:    cli.Args(0, 10_000),
		RunE:    func(_ *cobra.Command, args []string) error { return runFmt(env, o, args) },
	}
	c.Flags().BoolVar(&o.check, "check", false, "change nothing; list the files that are laid out otherwise")
	c.Flags().BoolVar(&o.diff, "diff", false, "change nothing; show what would change")
	return c
}

// A draft is a document and how it would be laid out.
type draft struct {
	file     string
	old, new []byte
}

func runFmt(env *cli.Env, o fmtOptions, args []string) error {
	f := policyfmt.New(resources.Registry())
	if slices.Contains(args, "-") {
		return fmtInput(env, f, o, args)
	}
	if len(args) == 0 {
		args = []string{"."}
	}
	files, err := documents(args)
	if err != nil {
		return err
	}
	var drafts []draft
	var problems fault.Problems
	for _, file := range files {
		d, err := draftOf(f, file)
		var more fault.Problems
		switch {
		case errors.As(err, &more):
			problems = append(problems, more...)
		case err != nil:
			return err
		case !bytes.Equal(d.old, d.new):
			drafts = append(drafts, d)
		}
	}
	if len(problems) > 0 {
		return problems.Err()
	}
	return finishFmt(env, o, drafts)
}

// finishFmt shows what would change, or changes it.
func finishFmt(env *cli.Env, o fmtOptions, drafts []draft) error {
	for _, d := range drafts {
		if !o.check && !o.diff {
			if err := rewrite(d); err != nil {
				return err
			}
		}
		if o.diff {
			if _, err := env.Stdout.Write(diff.Diff(d.file, d.old, d.file+" (formatted)", d.new)); err != nil {
				return err
			}
		} else if _, err := fmt.Fprintln(env.Stdout, d.file); err != nil {
			return err
		}
	}
	if len(drafts) > 0 && (o.check || o.diff) {
		return cli.Quiet(fault.Failure)
	}
	return nil
}

// fmtInput formats standard input.
func fmtInput(env *cli.Env, f *policyfmt.Formatter, o fmtOptions, args []string) error {
	if len(args) > 1 {
		return cli.UsageError(errors.New("- stands alone"))
	}
	old, err := io.ReadAll(io.LimitReader(env.Stdin, policy.MaxDocument+1))
	if err != nil {
		return fmt.Errorf("reading standard input: %w", err)
	}
	d := draft{file: "<stdin>", old: old}
	if d.new, err = f.Format(d.file, old); err != nil {
		return err
	}
	if !o.check && !o.diff {
		_, err = env.Stdout.Write(d.new)
		return err
	}
	if bytes.Equal(d.old, d.new) {
		return nil
	}
	return finishFmt(env, o, []draft{d})
}

func draftOf(f *policyfmt.Formatter, file string) (draft, error) {
	info, err := os.Stat(file)
	if err != nil {
		return draft{}, fmt.Errorf("formatting: %w", err)
	}
	if info.Size() > policy.MaxDocument {
		return draft{}, fmt.Errorf("formatting %s: it has %d bytes, more than the %d that are allowed", file, info.Size(), policy.MaxDocument)
	}
	old, err := os.ReadFile(file)
	if err != nil {
		return draft{}, fmt.Errorf("formatting: %w", err)
	}
	laid, err := f.Format(file, old)
	return draft{file, old, laid}, err
}

// rewrite puts a laid out document in place of the old one, behind a link if it is one.
func rewrite(d draft) error {
	file, err := filepath.EvalSymlinks(d.file)
	if err != nil {
		return fmt.Errorf("formatting: %w", err)
	}
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("formatting: %w", err)
	}
	if err := atomicfile.Write(file, d.new, info.Mode().Perm()); err != nil {
		return fmt.Errorf("formatting %s: %w", d.file, err)
	}
	return nil
}

// documents lists the files that are meant: those that are named, and the documents of folders that are.
func documents(args []string) ([]string, error) {
	var files []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, fmt.Errorf("formatting: %w", err)
		}
		if !info.IsDir() {
			files = append(files, arg)
			continue
		}
		for _, pattern := range []string{"fleet.yaml", "roles/*.yaml", "alerts/*.yaml", "rollouts/*.yaml", "alerts/tests/*.yaml", "modules/*/module.yaml", "modules/*/tests/*.yaml"} {
			found, err := fs.Glob(os.DirFS(arg), pattern)
			if err != nil {
				return nil, fmt.Errorf("formatting %s: %w", arg, err)
			}
			for _, name := range found {
				files = append(files, filepath.Join(arg, name))
			}
		}
		err = filepath.WalkDir(filepath.Join(arg, "data"), func(file string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && strings.HasSuffix(file, ".yaml") {
				files = append(files, file)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("formatting %s: %w", arg, err)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}
