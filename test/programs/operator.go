package programs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// An Operator asks a fleet about its rollouts, and gives commands to it, by `vigo`.
type Operator struct {
	T       testing.TB
	Command func(arguments ...string) *exec.Cmd // of vigo, where and as whom it is to run
}

// Run runs a command, which must succeed, and returns what it prints.
func (o Operator) Run(args ...string) string {
	o.T.Helper()
	cmd := o.Command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		o.T.Fatalf("vigo %s: %v\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// Ask decodes the document that a command prints. Exit status 1 with a document is an answer, too: something is not as it should be.
func (o Operator) Ask(into any, args ...string) error {
	cmd := o.Command(append(args, "-o", "json")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1 && len(out) > 0) {
		return fmt.Errorf("vigo %s: %w: %s", strings.Join(args, " "), err, &stderr)
	}
	return json.Unmarshal(out, into)
}

// Rollout is the last rollout, by `vigo rollout status` with more arguments; the zero value when there was none, or the service
// does not answer.
func (o Operator) Rollout(more ...string) report.RolloutStatus {
	var list []report.RolloutStatus
	if err := o.Ask(&list, append([]string{"rollout", "status"}, more...)...); err != nil || len(list) == 0 {
		return report.RolloutStatus{}
	}
	return list[0]
}

// AwaitRollout waits for a rollout as it should be.
func (o Operator) AwaitRollout(what string, so func(report.RolloutStatus) bool) (s report.RolloutStatus) {
	o.T.Helper()
	o.Await(what, func() error {
		if s = o.Rollout(); !so(s) {
			return fmt.Errorf("it is %s (%s: %s), %v", s.Phase, s.Reason, s.Detail, s.Counts)
		}
		return nil
	})
	return s
}

// Await is [AwaitNil] for what is asked by a command; it shows the last rollout when it is in vain.
func (o Operator) Await(what string, missing func() error) {
	o.T.Helper()
	deadline := time.Now().Add(2 * Patience)
	for {
		err := missing()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			o.T.Fatalf("waiting for: %s: %v; %+v", what, err, o.Rollout("--log", "30"))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Explained checks what word is said of nodes, and returns all that is said of each.
func (o Operator) Explained(want map[string]rollout.Word) (said map[string]string) {
	o.T.Helper()
	said = map[string]string{}
	for node, word := range want {
		said[node] = o.Run("rollout", "explain", node)
		if !strings.HasPrefix(said[node], node+" is "+string(word)+":") {
			o.T.Errorf("of %s it says %q, want %s", node, said[node], word)
		}
	}
	return said
}

// Mode is the one mode of the fleet.
func (o Operator) Mode() report.ModeStatus {
	o.T.Helper()
	var list []report.ModeStatus
	if err := o.Ask(&list, "mode", "status"); err != nil || len(list) != 1 {
		o.T.Fatalf("%v: %+v", err, list)
	}
	return list[0]
}

// Stays looks for a while whether something goes on to hold.
func Stays(t testing.TB, d time.Duration, what string, wrong func() error) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err := wrong(); err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
	}
}
