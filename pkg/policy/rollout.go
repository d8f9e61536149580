package policy

import (
	"fmt"
	"io/fs"
	"path"
	"time"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/window"
)

// Where the nodes of no stage's condition go.
const (
	UnmatchedLast  = "last-stage"
	UnmatchedError = "error"
)

// A Rollout is a file of rollouts/: how a channel is given what is new, with its places.
type Rollout struct {
	Spec rollout.Spec
	// Window is the name of the window in which it widens; empty: at any time.
	Window Text
	// Whens are the conditions of the stages, and Checks those over what nodes report.
	Whens, Checks []Text
	Pos           fault.Pos
}

// MaxRollouts is how many channels can have a file.
const MaxRollouts = 64

// LoadRollouts reads the rollouts of a repository alone, and the windows they name, by channel.
func LoadRollouts(fsys fs.FS, fleet *Fleet) (map[string]rollout.Spec, map[string]window.Window, error) {
	var problems fault.Problems
	p := &Policy{}
	l := loader{fsys: fsys, problems: &problems}
	if err := l.rollouts(p); err != nil {
		return nil, nil, err
	}
	specs, windows := map[string]rollout.Spec{}, map[string]window.Window{}
	for _, r := range p.Rollouts {
		specs[r.Spec.Channel] = r.Spec
		if r.Window.S != "" && fleet != nil {
			windows[r.Spec.Channel] = window.Window{Name: r.Window.S, Spans: fleet.Windows[r.Window.S].Spans}
		}
	}
	return specs, windows, problems.Err()
}

func (l *loader) rollouts(p *Policy) error {
	names, err := l.named("rollouts")
	if err != nil {
		return err
	}
	for _, name := range names {
		file := path.Join("rollouts", name+yamlEnding)
		if len(p.Rollouts) >= MaxRollouts {
			l.fail(file, "too-many", "", fmt.Sprintf("there are more than %d rollouts", MaxRollouts))
			return nil
		}
		r, n, err := l.document(file)
		if err != nil {
			return err
		}
		if n == nil {
			continue
		}
		one := r.rollout(n, name)
		if one == nil {
			continue
		}
		p.Rollouts = append(p.Rollouts, one)
		if err := l.consentFiles(one); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) rollout(n *yaml.Node, channel string) *Rollout {
	entries, ok := r.mapping(n, "the rollout")
	if !ok {
		return nil
	}
	r.only(entries, "kind", "channel", "about", "stages", "gate", "deadline", "abort", "on_abort", "max_in_flight", "checks", "window", "supersede", "cohort", "strategy", "unmatched", "lost_after", "reboot_grace")
	out := &Rollout{Pos: r.pos(n), Spec: rollout.Spec{Channel: channel}}
	var gate rollout.Gate
	unmatched, kind := UnmatchedError, ""
	for _, e := range entries {
		switch e.key {
		case "kind":
			kind = r.oneOf(e.value, "kind", "Rollout")
		case "channel":
			if name := r.str(e.value, "channel"); name != channel {
				r.fail(e.value, "bad-name", "name the file after the channel", "rollouts/%s.yaml is about channel %q", channel, name)
			}
		case "gate":
			gate = r.gate(e.value)
		case "unmatched":
			unmatched = r.oneOf(e.value, "unmatched", UnmatchedLast, UnmatchedError)
		default:
			r.rolloutKey(out, e)
		}
	}
	if kind == "" {
		r.fail(n, "missing-key", "kind: Rollout", `a rollout needs the key "kind"`)
	}
	for i := range out.Spec.Stages {
		out.Spec.Stages[i].Gate = gateOver(out.Spec.Stages[i].Gate, gate)
	}
	if len(out.Spec.Stages) == 0 {
		out.Spec.Stages = []rollout.Stage{{Name: "all", Size: rollout.Share{Percent: 100}, Gate: gate}}
	}
	if last := &out.Spec.Stages[len(out.Spec.Stages)-1]; unmatched == UnmatchedLast {
		last.When = "" // whoever met no other condition, too
	}
	out.Spec = out.Spec.WithDefaults()
	for _, one := range faultsOf(out.Spec.Validate()) {
		r.fail(n, "bad-rollout", "", "%s", one)
	}
	return out
}

// faultsOf takes joined errors apart.
func faultsOf(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err != nil {
		return []error{err}
	}
	return nil
}

func (r *reader) rolloutKey(out *Rollout, e entry) {
	s := &out.Spec
	switch e.key {
	case "stages":
		r.stages(out, e.value)
	case "deadline":
		s.Deadline = r.upTo(e.value, e.key, 30*24*time.Hour)
	case "abort":
		r.aborts(s, e.value)
	case "on_abort":
		s.OnAbort = rollout.OnAbort(r.oneOf(e.value, e.key, string(rollout.Hold), string(rollout.Revert)))
	case "max_in_flight":
		s.MaxInFlight = r.share(e.value, e.key)
	case "checks":
		out.Checks = r.checks(s, e.value)
	case "window":
		out.Window = Text{r.str(e.value, e.key), r.pos(e.value)}
	case "supersede":
		s.Supersede = rollout.Supersede(r.oneOf(e.value, e.key, string(rollout.Restart), string(rollout.FinishStage), string(rollout.Queue)))
	case "cohort":
		s.Cohort = rollout.Cohort(r.oneOf(e.value, e.key, string(rollout.EachRelease), string(rollout.Fixed)))
	case "strategy":
		s.Immediate = r.oneOf(e.value, e.key, "staged", "immediate") == "immediate"
	case "lost_after":
		s.LostAfter = r.upToNumber(e.value, e.key, 1000)
	case "reboot_grace":
		s.RebootGrace = r.upTo(e.value, e.key, 24*time.Hour)
	case "about":
		r.str(e.value, e.key)
	}
}
