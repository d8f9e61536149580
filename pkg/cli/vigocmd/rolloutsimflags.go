package vigocmd

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/rollout/sim"
)

// fateFlags are what becomes of nodes that are simulated.
type fateFlags struct{ fail, lose, refuse, offline, flaky share }

func (r *fateFlags) flags(f *pflag.FlagSet) {
	f.Var(&r.fail, "fail", "share of the nodes whose runs fail with the new bundle")
	f.Var(&r.lose, "lose", "share of the nodes that take it and are never heard of again")
	f.Var(&r.refuse, "refuse", "share of the nodes that cannot run it and go back by themselves")
	f.Var(&r.offline, "offline", "share of the nodes that are off all the time")
	f.Var(&r.flaky, "flaky", "share of all runs that fail once")
}

func (r *fateFlags) rates() sim.Rates {
	return sim.Rates{Fail: float64(r.fail), Lose: float64(r.lose), Refuse: float64(r.refuse), Offline: float64(r.offline), Flaky: float64(r.flaky)}
}

// labelShares are flags such as environment=staging:10%.
type labelShares struct{ list []sim.LabelShare }

// String implements pflag.Value.
func (l *labelShares) String() string { return "" }

// Type implements pflag.Value.
func (l *labelShares) Type() string { return "label" }

// Set implements pflag.Value.
func (l *labelShares) Set(text string) error {
	label, part, ok := cutLast(text, ":")
	name, value, ok2 := strings.Cut(label, "=")
	var s share
	if !ok || !ok2 || name == "" {
		return fmt.Errorf("%q is not NAME=VALUE:SHARE, such as environment=staging:10%%", text)
	}
	if err := s.Set(part); err != nil {
		return err
	}
	l.list = append(l.list, sim.LabelShare{Name: name, Value: value, Share: float64(s)})
	return nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// outageFlag are flags such as 10m+15m:40%, or 10m+15m for those of the service.
type outageFlag struct {
	service bool
	list    []sim.Outage
}

// String implements pflag.Value.
func (o *outageFlag) String() string { return "" }

// Type implements pflag.Value.
func (o *outageFlag) Type() string { return "outage" }

// Set implements pflag.Value.
func (o *outageFlag) Set(text string) error {
	when, part, has := strings.Cut(text, ":")
	begin, length, ok := strings.Cut(when, "+")
	s := share(1)
	after, err1 := time.ParseDuration(begin)
	lasts, err2 := time.ParseDuration(length)
	switch {
	case !ok || err1 != nil || err2 != nil || after < 0 || lasts <= 0:
		return fmt.Errorf("%q is not WHEN+LENGTH, such as 10m+15m", text)
	case has && o.service:
		return fmt.Errorf("%q: the service is there for all nodes or for none", text)
	case has:
		if err := s.Set(part); err != nil {
			return err
		}
	}
	o.list = append(o.list, sim.Outage{After: after, For: lasts, Share: float64(s), Service: o.service})
	return nil
}

// commandFlag are flags such as 30m:pause.
type commandFlag struct{ list []sim.Command }

// String implements pflag.Value.
func (c *commandFlag) String() string { return "" }

// Type implements pflag.Value.
func (c *commandFlag) Type() string { return "command" }

// Set implements pflag.Value.
func (c *commandFlag) Set(text string) error {
	when, do, ok := strings.Cut(text, ":")
	after, err := time.ParseDuration(when)
	if !ok || err != nil || after < 0 || !isDo(do) {
		return fmt.Errorf("%q is not WHEN:COMMAND, such as 30m:pause; the commands are pause, resume, approve, abort and revert", text)
	}
	c.list = append(c.list, sim.Command{After: after, Command: rollout.Command{Do: rollout.Do(do), By: "operator"}})
	return nil
}

func isDo(s string) bool {
	return slices.Contains([]rollout.Do{rollout.DoPause, rollout.DoResume, rollout.DoApprove, rollout.DoAbort, rollout.DoRevert}, rollout.Do(s))
}
