package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build is what a program says of itself.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"` // of the source, where the builder recorded it
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// NewVersionCommand makes the command that prints the version, alone, or as a document with what it was built from.
func NewVersionCommand(env *Env) *cobra.Command {
	var format Format
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  " + env.Name + " version\n  " + env.Name + " version -o json",
		Args:    Args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if done, err := env.Document(format, describeBuild(env.Version)); done {
				return err
			}
			_, err := fmt.Fprintln(env.Stdout, env.Version)
			return err
		},
	}
	FormatFlag(c, &format, Table, JSON, YAML)
	return c
}

func describeBuild(version string) build {
	b := build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
