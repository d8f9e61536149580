package vigocmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/gitsource"
)

type approveCommitOptions struct {
	dir, branch, key, name string
}

func newApproveCommitCommand(env *cli.Env) *cobra.Command {
	var o approveCommitOptions
	c := &cobra.Command{
		Use:   "approve-commit [COMMIT] --key FILE",
		Short: "Sign that a commit of a policy repository may be published",
		Long: `Sign that a commit, with all its history, may be published from a branch, where fleet.yaml asks for it
(trust: {approvals: {count: 2}}). The signature becomes a ref of the repository, refs/approvals/COMMIT/NAME, which is to be
pushed to where the controller looks. The key must be listed in allowed_signers of what is published now. A key that is
encrypted, or not a file at all, is used through the SSH agent: name FILE.pub.`,
		Example: `  vigo approve-commit --key ~/.ssh/id_ed25519
  vigo approve-commit 0f6b4ac --branch release --key ~/.ssh/id_ed25519.pub
  git push origin 'refs/approvals/*:refs/approvals/*'`,
		Args: cli.Args(0, 1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			rev := ""
			if len(args) == 1 {
				rev = args[0]
			}
			key, done, err := gitsource.SSHKey(o.key, env.Getenv("SSH_AUTH_SOCK"))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, done.Close()) }()
			commit, ref, err := gitsource.Approve(c.Context(), o.dir, rev, o.branch, o.name, gitsource.SSHApprover(key))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "approved %.12s %q on %s; now\n  git push origin %s\n", commit.Hash, commit.Subject, o.branch, ref)
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&o.dir, "dir", ".", "folder of the repository")
	f.StringVar(&o.branch, "branch", "main", "branch it may be published from")
	f.StringVar(&o.key, "key", "", "private SSH key to sign with, or the public one for the SSH agent")
	f.StringVar(&o.name, "name", "", "last part of the name of the ref (default: the address git commits with)")
	cobra.CheckErr(c.MarkFlagRequired("key"))
	cobra.CheckErr(c.MarkFlagFilename("key"))
	cobra.CheckErr(c.MarkFlagDirname("dir"))
	return c
}
