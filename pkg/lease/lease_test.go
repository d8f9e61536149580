package lease_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/lease"
	"vigo.dev/pkg/rollout"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func ask(node string) lease.Ask {
	return lease.Ask{Node: node, Boot: node + "-1", Group: "db", AtOnce: rollout.Share{Nodes: 1}, Term: 30 * time.Minute, Delay: time.Minute, Nonce: "n"}
}

func up(boot string, at time.Time) lease.Fact {
	return lease.Fact{Known: true, Live: true, Seen: at, Boot: boot, Ran: true, Well: true}
}

// The places of a group are given to as many as there are, and who asks again keeps its own.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	first, why := lease.Take(ask("db-1"), nil, nil, 1, false, noon)
	if why != "" || !first.Held() || !first.Until.Equal(noon.Add(31*time.Minute)) {
		t.Fatalf("%+v %s", first, why)
	}
	second, why := lease.Take(ask("db-2"), nil, []lease.Lease{first}, 1, false, noon)
	if second.Held() || why != "1 of 1 place of db taken by db-1" {
		t.Errorf("%+v %s", second, why)
	}
	again, why := lease.Take(ask("db-1"), &first, []lease.Lease{first}, 1, false, noon.Add(time.Minute))
	if why != "" || !again.Since.Equal(noon) || !again.Until.Equal(noon.Add(32*time.Minute)) {
		t.Errorf("%+v %s", again, why)
	}
	later, _ := lease.Take(ask("db-2"), &second, nil, 1, false, noon.Add(time.Hour))
	if !later.Held() || !later.Asked.Equal(noon) {
		t.Errorf("how long it waits is forgotten: %+v", later)
	}
}

// TestRebootSlotLocksLeak is airlock#81: machines that died with the lock kept it, nobody could see which, and nobody ever
// rebooted again. Here the place of a machine that does not come back stays taken, because it is one that is down, and says
// whose it is; it is free when the machine is back and well, or retired, and at once when it went on without a reboot.
func TestRebootSlotLocksLeak(t *testing.T) {
	t.Parallel()
	held, _ := lease.Take(ask("db-1"), nil, nil, 1, false, noon)
	in, after := noon.Add(10*time.Minute), noon.Add(2*time.Hour)
	silent := lease.Fact{Known: true, Seen: noon, Boot: "db-1-1", Ran: true, Well: true}
	unwell := up("db-1-2", after)
	unwell.Well = false
	for name, c := range map[string]struct {
		fact lease.Fact
		at   time.Time
		want lease.Word
	}{
		"reboots":                      {silent, in, lease.Stays},
		"has not gone down yet":        {up("db-1-1", in), in, lease.Stays},
		"is back and has told nothing": {lease.Fact{Known: true, Live: true, Seen: in, Boot: "db-1-2"}, in, lease.Stays},
		"is back and well":             {up("db-1-2", in), in, lease.Back},
		"is back late, and well":       {up("db-1-2", after), after, lease.Back},
		"is back and not well":         {unwell, in, lease.Stays},
		"is not well for too long":     {unwell, after, lease.TooLate},
		"never comes back":             {silent, after, lease.TooLate},
		"did not reboot":               {up("db-1-1", after), after, lease.Unused},
		"is retired":                   {lease.Fact{}, in, lease.Gone},
	} {
		if got, why := held.Look(c.fact, c.at); got != c.want {
			t.Errorf("%s: %q (%s), want %q", name, got, why, c.want)
		}
	}
	held.Overdue, held.Reason = after, "it is silent"
	if got, why := held.Look(silent, after.Add(time.Hour)); got != lease.Stays {
		t.Errorf("said twice: %s %s", got, why)
	}
	if _, why := lease.Take(ask("db-2"), nil, []lease.Lease{held}, 1, false, after); !strings.Contains(why, "db-1 (overdue)") {
		t.Errorf("who has the place is not told: %s", why)
	}
}

// A node that was not well before is not asked to be better after.
func TestAFailingNodeGivesItsPlaceBack(t *testing.T) {
	t.Parallel()
	held, _ := lease.Take(ask("db-1"), nil, nil, 1, true, noon)
	f := up("db-1-2", noon)
	f.Well = false
	if got, _ := held.Look(f, noon.Add(time.Minute)); got != lease.Back {
		t.Errorf("%q", got)
	}
}

func TestWhoNoLongerAsksDoesNotWait(t *testing.T) {
	t.Parallel()
	waits, _ := lease.Take(ask("db-2"), nil, []lease.Lease{{Node: "db-1", Since: noon}}, 1, false, noon)
	if got, _ := waits.Look(up("db-2-1", noon), noon.Add(time.Minute)); got != lease.Stays {
		t.Errorf("%q", got)
	}
	if got, _ := waits.Look(up("db-2-1", noon), noon.Add(time.Hour)); got != lease.Quiet {
		t.Errorf("%q", got)
	}
}

func TestSlots(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		share   string
		members int
		want    int
	}{{"1", 0, 1}, {"3", 2, 3}, {"10%", 0, 1}, {"10%", 9, 1}, {"10%", 19, 1}, {"10%", 20, 2}, {"7%", 100, 7}, {"100%", 3, 3}} {
		s, err := rollout.ParseShare(c.share)
		if err != nil {
			t.Fatal(err)
		}
		if got := lease.Slots(s, c.members); got != c.want {
			t.Errorf("%s of %d: %d, want %d", c.share, c.members, got, c.want)
		}
	}
}

func TestAnAskIsBounded(t *testing.T) {
	t.Parallel()
	if err := ask("a").Check(); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*lease.Ask){
		"no boot": func(a *lease.Ask) { a.Boot = "" }, "long group": func(a *lease.Ask) { a.Group = strings.Repeat("x", 301) },
		"no nonce": func(a *lease.Ask) { a.Nonce = "" }, "long why": func(a *lease.Ask) { a.Why = strings.Repeat("x", 301) },
		"no term": func(a *lease.Ask) { a.Term = 0 }, "for ever": func(a *lease.Ask) { a.Term = 1 << 62 },
		"past": func(a *lease.Ask) { a.Delay = -1 }, "nobody": func(a *lease.Ask) { a.AtOnce = rollout.Share{} },
	} {
		a := ask("a")
		edit(&a)
		if a.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Whatever nodes do, no more of them are down for a reboot than there are places; one that is down and has no place has lost it
// to an operator. All of them are done in the end.
func TestNeverMoreThanThePlaces(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		histories(t, seed)
	}
}

// machine is a node of a random history.
type machine struct {
	boot   int
	down   time.Time // until when; zero: it is up
	ran    bool
	wanted bool
}

func histories(t *testing.T, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	n, slots := 2+r.IntN(12), 1+r.IntN(3)
	machines, leases := make([]machine, n), map[string]lease.Lease{}
	for i := range machines {
		machines[i].wanted, machines[i].ran = true, true
	}
	now := noon
	for step := 0; ; step++ {
		now = now.Add(30 * time.Second)
		down, left := 0, 0
		for i := range machines {
			m, name := &machines[i], fmt.Sprintf("n%d", i)
			if !m.down.IsZero() && now.After(m.down) {
				m.down, m.ran = time.Time{}, false
				m.boot++
			} else if m.down.IsZero() && !m.ran {
				m.ran = r.IntN(4) > 0
			}
			if m.down.IsZero() && m.wanted && r.IntN(3) == 0 {
				own, has := leases[name]
				var at *lease.Lease
				if has {
					at = &own
				}
				a := ask(name)
				a.Boot = fmt.Sprint(name, m.boot)
				kept, why := lease.Take(a, at, held(leases), slots, false, now)
				leases[name] = kept
				if why == "" && r.IntN(5) > 0 { // or the agent is killed in between
					m.wanted, m.down = false, now.Add(time.Duration(1+r.IntN(90))*time.Minute)
				}
			}
			f := lease.Fact{Known: true, Live: m.down.IsZero(), Seen: now, Boot: fmt.Sprint(name, m.boot), Ran: m.ran, Well: true}
			if l, has := leases[name]; has {
				switch word, reason := l.Look(f, now); word {
				case lease.Back, lease.Unused, lease.Quiet:
					delete(leases, name)
				case lease.TooLate:
					l.Overdue, l.Reason = now, reason
					leases[name] = l
				}
			}
			if !m.down.IsZero() {
				down++
				if l, has := leases[name]; !has || !l.Held() {
					t.Fatalf("seed %d: %s is down without a place", seed, name)
				}
			}
			if m.wanted || !m.down.IsZero() {
				left++
			}
		}
		if down > slots || len(held(leases)) > slots {
			t.Fatalf("seed %d: %d are down and %d have places, of %d", seed, down, len(held(leases)), slots)
		}
		if left == 0 {
			return
		}
		if step > 100_000 {
			t.Fatalf("seed %d: %d are never done", seed, left)
		}
	}
}

func held(all map[string]lease.Lease) []lease.Lease {
	var list []lease.Lease
	for _, l := range all {
		if l.Held() {
			list = append(list, l)
		}
	}
	return list
}
