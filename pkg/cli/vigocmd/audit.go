package vigocmd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/cli"
)

func newAuditCommand(env *cli.Env) *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "Show and verify the record of who did what"}
	c.AddCommand(newAuditLogCommand(env), newAuditExportCommand(env), newAuditVerifyCommand(env))
	return c
}

type auditLogOptions struct {
	conn   connection
	format cli.Format
	since  time.Duration
	follow bool
	query  audit.Query
}

func newAuditLogCommand(env *cli.Env) *cobra.Command {
	var o auditLogOptions
	c := &cobra.Command{
		Use:   "log",
		Short: "Show what was done, by whom and from where",
		Long: `Show what was done, by whom and from where: the newest entries that match, in the order in which they were written.
With --follow it goes on with those that come, one JSON document a line with -o json, until interrupted.`,
		Example: `  vigo audit log --since 24h
  vigo audit log --actor jane --act 'token.*'
  vigo audit log --act access.refused --follow`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := o.conn.open(env)
			if err != nil {
				return err
			}
			if o.since > 0 {
				o.query.Since = env.Now().Add(-o.since)
			}
			return unreachable(o.show(c.Context(), env, client))
		},
	}
	o.conn.flags(c)
	f := c.Flags()
	ageVar(f, &o.since, "since", 0, "only entries of the last so long, such as 24h or 7d")
	f.StringVar(&o.query.Actor, "actor", "", "only what this operator or node did")
	f.StringVar(&o.query.Act, "act", "", "only acts that match this pattern, such as 'token.*'")
	f.IntVar(&o.query.Limit, "limit", 100, fmt.Sprintf("at most so many entries, up to %d", audit.MaxPage))
	f.BoolVarP(&o.follow, "follow", "f", false, "go on with new entries, until interrupted")
	cli.FormatFlag(c, &o.format, cli.Table, cli.JSON, cli.YAML)
	return c
}

// auditPause is between two looks for new entries.
const auditPause = time.Second

func (o auditLogOptions) show(ctx context.Context, env *cli.Env, client *api.OperatorClient) error {
	o.query.Newest = true
	page, err := cli.Wait(env, asking, func() (audit.Page, error) { return client.Audit(ctx, o.query) })
	if err != nil {
		return err
	}
	if !o.follow {
		if done, err := env.Document(o.format, page.Entries); done {
			return err
		}
		rows := make([][]string, len(page.Entries))
		for i, e := range page.Entries {
			rows[i] = auditRow(e)
		}
		return env.Columns([]string{"SEQ", "TIME", "ACTOR", "ROLE", "ACT", "OBJECT", "FROM", "DETAIL"}, rows)
	}
	o.query.Newest, o.query.Limit = false, 0
	tick := time.NewTicker(auditPause)
	defer tick.Stop()
	for {
		for _, e := range page.Entries {
			if err := o.line(env, e); err != nil {
				return err
			}
			o.query.After = e.Seq
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if page, err = client.Audit(ctx, o.query); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// line writes one entry while others are waited for.
func (o auditLogOptions) line(env *cli.Env, e audit.Entry) error {
	if o.format != cli.Table {
		return env.Line(e)
	}
	_, err := fmt.Fprintln(env.Stdout, strings.Join(auditRow(e), "  "))
	return err
}

func auditRow(e audit.Entry) []string {
	parts := make([]string, 0, len(e.Detail))
	for _, key := range slices.Sorted(maps.Keys(e.Detail)) {
		parts = append(parts, key+"="+e.Detail[key])
	}
	return []string{fmt.Sprint(e.Seq), e.Time.Local().Format("2006-01-02 15:04:05"), e.Actor, orDash(e.Role), e.Act, orDash(e.Object),
		orDash(e.Address), orDash(strings.Join(parts, ", "))}
}
