package vigocmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// watchPace is how often a service is asked how far a rollout is.
const watchPace = time.Second

// watchedMoves is how many transitions are asked for: as many as the service lists.
const watchedMoves = 1000

func newRolloutWatchCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var format cli.Format
	w := rolloutWatch{env: env}
	c := &cobra.Command{
		Use:   "watch CHANNEL",
		Short: "Follow a rollout until it is over, and say how it ended",
		Long: `Follow the last rollout of a channel, a line for each thing that happens, until it is over. It ends with 0 when the
rollout is completed, with 4 when it was aborted or taken back, and with 1 when a newer bundle took its place or --timeout
has passed. One that is paused, or waits for an approval, is waited for. With --commit it waits for the rollout of that
commit to begin, as in a pipeline after a merge. A service that cannot be reached meanwhile is asked again. -o json writes
the whole status, one a line, whenever it has changed.`,
		Example: `  vigo rollout watch production
  vigo rollout watch production --commit "$(git rev-parse HEAD)" --timeout 2h`,
		Args: cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			ctx := c.Context()
			if w.timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, w.timeout)
				defer cancel()
			}
			w.client, w.channel, w.json = client, args[0], format == cli.JSON
			err = w.run(ctx)
			if w.timeout > 0 && errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("watching the rollout of %s: it is not over after %s", w.channel, w.timeout)
			}
			return err
		},
	}
	conn.flags(c)
	c.Flags().StringVar(&w.commit, "commit", "", "wait for the rollout of this commit, which may be shortened")
	c.Flags().DurationVar(&w.timeout, "timeout", 0, "how long to wait at most (default: for ever)")
	cli.FormatFlag(c, &format, cli.Table, cli.JSON)
	return c
}

// rolloutWatch follows one rollout.
type rolloutWatch struct {
	env             *cli.Env
	client          *api.OperatorClient
	channel, commit string
	timeout         time.Duration
	json            bool

	id   string               // of the rollout; "": it was not seen yet
	last report.RolloutStatus // as it was shown
	told time.Time            // of the last transition that was shown
	away bool                 // the service was not reached
}

// run ends when the rollout does.
func (w *rolloutWatch) run(ctx context.Context) error {
	for first := true; ; first = false {
		r, err := w.look(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (first || !isAway(err)):
			return unreachable(err)
		case err != nil:
			if !w.away {
				w.env.PrintError(unreachable(err)) // it may come back, and nothing of it is lost
			}
			w.away = true
		case r == nil && first:
			w.env.Say("%s: waiting for the rollout of commit %s on %s", w.env.Name, w.commit, w.channel)
		case r != nil:
			w.away = false
			if err := w.show(*r); err != nil {
				return err
			}
			if r.Phase.Over() || r.Phase == rollout.Aborted {
				return ended(*r)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchPace):
		}
	}
}

// isAway is whether an error is that nobody answered, or that who did has no time.
func isAway(err error) bool {
	_, refused := errors.AsType[*api.Error](err)
	return !refused || errors.Is(err, api.ErrBusy) || errors.Is(err, api.ErrTooMany) || errors.Is(err, api.ErrInternal)
}

// look finds the rollout that is watched; nil: it has not begun.
func (w *rolloutWatch) look(ctx context.Context) (*report.RolloutStatus, error) {
	list, err := w.client.Rollouts(ctx, w.channel, watchedMoves)
	switch {
	case errors.Is(err, api.ErrNotFound) && w.commit != "":
		return nil, nil
	case err != nil:
		return nil, err
	}
	if r := list[0]; w.is(r) {
		return &r, nil
	}
	past, err := w.client.RolloutHistory(ctx, w.channel, 100) // it may be over already
	if err != nil && !errors.Is(err, api.ErrNotFound) {
		return nil, err
	}
	for _, r := range past {
		if w.is(r) {
			return &r, nil
		}
	}
	return nil, nil
}

func (w *rolloutWatch) is(r report.RolloutStatus) bool {
	if w.id == "" && (w.commit == "" || strings.HasPrefix(r.Commit, w.commit)) {
		w.id = r.ID
	}
	return r.ID == w.id
}

// show writes what is new.
func (w *rolloutWatch) show(r report.RolloutStatus) error {
	was := w.last
	w.last = r
	same := was.ID == r.ID && was.Phase == r.Phase && was.Reason == r.Reason && was.Detail == r.Detail && maps.Equal(was.Counts, r.Counts)
	if same {
		return nil
	}
	if w.json {
		line, err := json.Marshal(r)
		if err == nil {
			_, err = fmt.Fprintf(w.env.Stdout, "%s\n", line)
		}
		return err
	}
	var text strings.Builder
	for i := len(r.Log) - 1; i >= 0; i-- { // oldest first
		if t := r.Log[i]; t.Rollout == r.ID && t.At.After(w.told) {
			fmt.Fprintf(&text, "%s  %s\n", t.At.Local().Format(time.TimeOnly), moved(t))
		}
	}
	if len(r.Log) > 0 {
		w.told = r.Log[0].At
	}
	if was.Detail != r.Detail || !maps.Equal(was.Counts, r.Counts) {
		fmt.Fprintf(&text, "%s    %s\n", w.env.Now().Local().Format(time.TimeOnly), countsOf(r.Counts))
	}
	_, err := fmt.Fprint(w.env.Stdout, text.String())
	return err
}

// moved says what a transition is.
func moved(t rollout.Transition) string {
	text := strings.ToUpper(string(t.To)) + " " + string(t.Reason)
	if t.From == "" {
		text = "begins"
	}
	if t.Stage != "" {
		text += ", stage " + t.Stage
	}
	if t.Detail != "" {
		text += ": " + t.Detail
	}
	if t.By != "" {
		text += ", by " + t.By
	}
	return text
}

// ended is how a rollout that is over ends the program.
func ended(r report.RolloutStatus) error {
	switch r.Phase {
	case rollout.Completed:
		return nil
	case rollout.Superseded:
		return fmt.Errorf("the rollout of %s was superseded: a newer bundle took its place", r.Channel)
	}
	return fault.WithHint(fault.WithCode(fmt.Errorf("the rollout of %s is %s: %s", r.Channel, r.Phase, becauseOf(r)), fault.Refused), "vigo rollout nodes "+r.Channel+" --word failed")
}
