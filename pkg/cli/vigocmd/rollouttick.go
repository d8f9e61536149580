package vigocmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/rollout"
)

// tickFlags are one step of a rollout over files.
type tickFlags struct {
	channel, state, snapshot string
	stable, candidate        string
	command                  rollout.Command
	do                       string
	dry                      bool
	format                   cli.Format
}

// ticked is what a step came to.
type ticked struct {
	ID      string               `json:"id"`
	Phase   rollout.Phase        `json:"phase"`
	Reason  rollout.Reason       `json:"reason"`
	Detail  string               `json:"detail,omitempty"`
	Counts  map[rollout.Word]int `json:"counts"`
	Told    []rollout.Transition `json:"told"`
	Pointer tickPointer          `json:"pointer"`
	// Waits says that the candidate that was asked for waits for the end of the one under way.
	Waits bool `json:"waits,omitempty"`
}

// tickPointer is what the pointer of the channel is to say.
type tickPointer struct {
	Stable    string             `json:"stable"`
	Candidate string             `json:"candidate,omitempty"`
	Rollout   *rollout.Directive `json:"rollout,omitempty"`
}

func newRolloutTickCommand(env *cli.Env) *cobra.Command {
	t := &tickFlags{}
	c := &cobra.Command{
		Use:   "tick [DIR]",
		Short: "Make one step of a rollout from files: what the report service does, without one",
		Long: `Make one step of a rollout from files: what the report service does, without one, for jobs of CI and for looking into why
a rollout did what it did. The state is read from a file and written there again; when there is none, a rollout begins by
rollouts/CHANNEL.yaml of the policy repository DIR. It prints what people would be told, and what the pointer is to say.

The snapshot is JSON: {"now": "2026-03-02T22:00:00Z", "nodes": [{"name": "web-1", "labels": {"environment": "staging"},
"seen": "2026-03-02T21:59:48Z", "interval": "30s", "bundle": "sha256:…"}]}. Nodes may also say: adopting (a digest), failed (how
many resources), waiting (how many have yet to do what is new, in windows of their own), bad (names of checks that do not
hold), aside, pinned, maintained, rebooting, unconfirmed and dark (true or false). "blind": true says that nothing can be
told of who is silent.

Nothing is signed or published.

EXIT STATUS
  0  the step was made, whatever came of it    1  a file or the policy has mistakes`,
		Example: `  vigo rollout tick policy --state rollout.json --snapshot fleet.json --stable sha256:1111… --candidate sha256:2222…
  vigo rollout tick policy --state rollout.json --snapshot fleet.json --do approve --by ann -o json`,
		Args: cli.Args(0, 1),
		RunE: func(_ *cobra.Command, args []string) error { return t.run(env, directory(args)) },
	}
	f := c.Flags()
	f.StringVar(&t.channel, "channel", "", "the channel (default: the only one with a rollout)")
	f.StringVar(&t.state, "state", "", "file of the state; it is written anew")
	f.StringVar(&t.snapshot, "snapshot", "", "file that says what is known of the nodes")
	f.StringVar(&t.stable, "stable", "", "digest of the bundle that is stable, when a rollout begins")
	f.StringVar(&t.candidate, "candidate", "", "digest of the bundle that is to be rolled out")
	f.StringVar(&t.do, "do", "", "what an operator wants: pause, resume, approve, abort, revert")
	f.StringVar(&t.command.Stage, "stage", "", "the stage of an approval (default: the one that waits)")
	f.StringVar(&t.command.By, "by", "", "who wants it")
	f.BoolVar(&t.dry, "dry-run", false, "leave the file of the state as it is")
	for _, name := range []string{"state", "snapshot"} {
		cobra.CheckErr(c.MarkFlagRequired(name))
		cobra.CheckErr(c.MarkFlagFilename(name, "json"))
	}
	cli.FormatFlag(c, &t.format, cli.Table, cli.JSON, cli.YAML)
	return c
}

func (t *tickFlags) run(env *cli.Env, dir string) error {
	var commands []rollout.Command
	if t.do != "" {
		if !isDo(t.do) || t.command.By == "" {
			return cli.UsageError(errors.New("--do is pause, resume, approve, abort or revert, and --by says who wants it"))
		}
		t.command.Do = rollout.Do(t.do)
		commands = append(commands, t.command)
	}
	_, spec, open, err := rolloutIn(dir, t.channel)
	if err != nil {
		return err
	}
	shot, err := readSnapshot(t.snapshot)
	if err != nil {
		return err
	}
	if shot.Now.IsZero() {
		shot.Now = env.Now().UTC()
	}
	state, told, waits, err := t.open(spec, shot.Now)
	if err != nil {
		return err
	}
	in, err := shot.of(state.Spec)
	if err != nil {
		return fmt.Errorf("reading %s: %w", t.snapshot, err)
	}
	in.Open, in.Answers = open.Open(shot.Now), shot.answers(state)
	next, more := rollout.Step(state, in, commands)
	if err := t.keep(next); err != nil {
		return err
	}
	says := next.Signed()
	out := ticked{ID: next.ID, Phase: next.Phase, Reason: next.Reason, Detail: next.Detail, Counts: next.Counts, Told: append(append([]rollout.Transition{}, told...), more...),
		Pointer: tickPointer{says.Stable, says.Candidate, says.Directive}, Waits: waits}
	if done, err := env.Document(t.format, out); done {
		return err
	}
	return showTicked(env, out)
}

// open reads the state, and begins a rollout where there is none, or where a newer bundle may take its place.
func (t *tickFlags) open(spec rollout.Spec, now time.Time) (state rollout.State, told []rollout.Transition, waits bool, err error) {
	for name, digest := range map[string]string{"stable": t.stable, "candidate": t.candidate} {
		if _, err := bundle.ParseDigest(digest); digest != "" && err != nil {
			return state, nil, false, cli.UsageError(fmt.Errorf("--%s: %w", name, err))
		}
	}
	data, err := os.ReadFile(t.state)
	begin := func(stable string, prev *rollout.State) rollout.State {
		id := fmt.Sprintf("%s-%s-%d", spec.Channel, t.candidate[len("sha256:"):][:12], now.Unix())
		return rollout.Begin(id, spec, stable, t.candidate, prev, now)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && (t.stable == "" || t.candidate == "" || t.stable == t.candidate):
		return state, nil, false, cli.UsageError(fault.WithHint(fmt.Errorf("there is no %s yet", t.state), "a rollout begins from one bundle to another: give --stable and --candidate"))
	case errors.Is(err, fs.ErrNotExist):
		return begin(t.stable, nil), nil, false, nil
	case err != nil:
		return state, nil, false, fmt.Errorf("reading the state: %w", err)
	}
	if err := strictly(data, &state); err != nil {
		return state, nil, false, fmt.Errorf("reading the state %s: %w", t.state, err)
	}
	if err := state.Spec.Validate(); err != nil || len(state.Stages) != len(state.Spec.Stages) || state.Stage < 0 || state.Stage > len(state.Stages) {
		return state, nil, false, fault.WithHint(errors.Join(fmt.Errorf("reading the state %s: it is not one that was written here", t.state), err), "remove it, and a rollout begins anew")
	}
	switch {
	case t.candidate == "" || t.candidate == state.Candidate:
		return state, nil, false, nil
	case !state.Yields():
		return state, nil, true, nil
	}
	over, end := state.Supersede("", now)
	if !state.Phase.Over() {
		told = append(told, end)
	}
	return begin(state.Signed().Stable, &over), told, false, nil
}

// keep writes the state, whole or not at all.
func (t *tickFlags) keep(s rollout.State) error {
	if t.dry {
		return nil
	}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the state: %w", err)
	}
	if err := atomicfile.Write(t.state, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the state: %w", err)
	}
	return nil
}

// strictly decodes one document and nothing after it; it knows every key.
func strictly(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("there is something after the document")
	}
	return nil
}

func showTicked(env *cli.Env, out ticked) error {
	for _, t := range out.Told {
		fmt.Fprintf(env.Stdout, "%s %s (%s) %s %s %s\n", t.At.UTC().Format("2006-01-02 15:04:05"), t.To, t.Reason, t.Stage, t.Detail, t.By)
	}
	if out.Waits {
		fmt.Fprintln(env.Stdout, "the candidate waits for the end of the one under way")
	}
	fmt.Fprintf(env.Stdout, "%s: %s (%s) %s\n", out.ID, out.Phase, out.Reason, countsOf(out.Counts))
	fmt.Fprintf(env.Stdout, "pointer: stable %s\n", out.Pointer.Stable)
	if d := out.Pointer.Rollout; d != nil {
		fmt.Fprintf(env.Stdout, "pointer: candidate %s\n", out.Pointer.Candidate)
		for _, a := range d.Admit {
			fmt.Fprintf(env.Stdout, "pointer: stage %s lets in up to place %016x\n", a.Stage, uint64(a.Max))
		}
	}
	return nil
}
