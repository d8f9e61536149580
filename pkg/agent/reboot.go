package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	"vigo.dev/pkg/excerpt"
	"vigo.dev/pkg/guard"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/lease"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trait"
)

// A Leaser gives the turns to reboot: the report service. Its error says that it cannot be asked, or would not answer.
type Leaser interface {
	AskReboot(ctx context.Context, a lease.Ask) (lease.Answer, error)
}

// askTime is how long a node that is to be booted waits for the service.
const askTime = 10 * time.Second

var errNobody = errors.New("this run has no service to ask")

// turns are those of one node in its pool.
type turns struct {
	node, boot string
	find       func() (*policy.RebootPool, string, error) // the pool it is in, and the group; nil: none
	leaser     Leaser
	log        *slog.Logger
}

var _ host.Turns = turns{}

// Reboot implements host.Turns. While it is not known that it is the turn of this node, nothing is done, unless policy says otherwise.
func (t turns) Reboot(ctx context.Context, why string, delay time.Duration) error {
	pool, group, err := t.find()
	if err != nil {
		return err
	}
	if pool == nil {
		return nil
	}
	answer, err := t.ask(ctx, pool, group, why, delay, false)
	switch {
	case err == nil && answer.Granted:
		return nil
	case err == nil:
		return &host.Wait{Reason: "it waits for its turn to reboot: " + answer.Why}
	case errors.Is(err, errNobody) && pool.Alone, err != nil && pool.Alone && ctx.Err() == nil:
		t.log.Warn("rebooting without being told that it is the turn of this node: the policy has it so", "pool", pool.Name, "err", err)
		return nil
	case errors.Is(err, errNobody):
		return &host.Wait{Reason: "nodes of " + group + " take turns to reboot, and " + errNobody.Error()}
	}
	t.log.Warn("asking for the turn to reboot; the node waits", "group", group, "err", err)
	return &host.Wait{Reason: "it cannot ask for its turn to reboot among " + group}
}

// Back implements host.Turns.
func (t turns) Back(ctx context.Context) error {
	pool, group, err := t.find()
	if err != nil || pool == nil || t.leaser == nil {
		return err
	}
	_, err = t.ask(ctx, pool, group, "the agent could not order it, or the window has closed", 0, true)
	return err
}

func (t turns) ask(ctx context.Context, pool *policy.RebootPool, group, why string, delay time.Duration, back bool) (lease.Answer, error) {
	if t.leaser == nil {
		return lease.Answer{}, errNobody
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return t.leaser.AskReboot(ctx, lease.Ask{Node: t.node, Boot: t.boot, Group: group, AtOnce: pool.AtOnce, Term: pool.Lease, Delay: delay,
		Why: excerpt.Of(why, lease.MaxText-len("…")), Back: back})
}

// turns are those of this node by the policy in force.
func (a *Agent) turns() host.Turns {
	return turns{node: a.Enrolment.Node, boot: a.boot, leaser: a.Leaser, log: a.Log, find: func() (*policy.RebootPool, string, error) {
		a.mu.Lock()
		l := a.loaded
		a.mu.Unlock()
		if l == nil || l.policy == nil {
			return nil, "", errors.New("finding out whether this node takes turns to reboot: no policy is in force")
		}
		return a.Language.RebootPool(l.policy, a.Enrolment.Node, a.allLabels())
	}}
}

// takesTurns remembers in which group this node reboots in turn, for the next check-in.
func (a *Agent) takesTurns() {
	var facet trait.Facet
	t, _ := a.turns().(turns)
	pool, group, err := t.find()
	if err == nil && pool != nil {
		facet, err = trait.FacetOf(report.RebootsTrait, report.RebootDoc{Group: group})
	}
	if err != nil {
		a.Log.Warn("the group in which this node reboots in turn is not told", "err", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.group = facet
}

// bootOf tells this boot of the machine from others, in a few bytes of each check-in: by the ID that the kernel made up, and, since
// a container may have that of its host, by when its first process began.
func bootOf(clock guard.Clock) string {
	boot, _, err := clock()
	if err != nil {
		return ""
	}
	if stat, err := os.ReadFile("/proc/1/stat"); err == nil {
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 19 {
			boot += " " + fields[19] // proc(5): starttime is the 22nd field, and two stand before the parenthesis closes
		}
	}
	sum := sha256.Sum256([]byte(boot))
	return hex.EncodeToString(sum[:8])
}
