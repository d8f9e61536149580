package rollouts

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"vigo.dev/pkg/fleetsim"
	"vigo.dev/pkg/gitsource/gitsourcetest"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/rollout/sim"
	"vigo.dev/test/loopback"
	"vigo.dev/test/programs"
)

// A story is a rollout that is simulated, and happens. Times are in intervals of the nodes.
type story struct {
	nodes    int
	interval time.Duration
	spec     string // of two stages: SOAK is the time of its gates
	rates    sim.Rates
	network  sim.Outage // in intervals; zero: none
	service  [2]float64 // killed and started again after so many intervals; zero: never
	ends     rollout.Phase
}

const (
	wireSeed  = 7
	wireTrial = .5 // of the nodes have the label of the first stage
	wirePoll  = time.Second
)

// TestTheSimulationIsTrueOverTheWire: what `vigo rollout simulate` prints is what happens when `vigo up` gives a real bundle to the
// nodes of `vigo bench fleet`, which have the same fates: over TLS and HTTP, with signed check-ins, and by signed pointers out of its
// registry. The same is said of stages, members, words, reasons and the outcome.
//
// Times differ by when check-ins, steps and polls fall: here they fall as they like, in a simulation at the same moments each time.
// So each step of the timeline has to take as long as in one of many simulations that differ in nothing but these moments, and
// that say the same words, give or take what the machine was late by.
//
// VIGO_ROLLOUT_NODES and VIGO_ROLLOUT_INTERVAL make it larger, as `make rollout` does.
func TestTheSimulationIsTrueOverTheWire(t *testing.T) {
	t.Parallel()
	nodes, interval := 600, 3*time.Second
	if text := os.Getenv("VIGO_ROLLOUT_NODES"); text != "" {
		var err error
		nodes, err = strconv.Atoi(text)
		must(t, err)
	}
	if text := os.Getenv("VIGO_ROLLOUT_INTERVAL"); text != "" {
		var err error
		interval, err = time.ParseDuration(text)
		must(t, err)
	}
	const spec = "kind: Rollout\nchannel: stable\ngate: {soak: SOAK, checkins: 2, success: 80%}\ndeadline: 30m\n" +
		"abort: {failed: {percent: 20, min: 8}, lost: {percent: 10, min: 8}}\n" +
		"stages:\n  - {name: canary, when: stage == \"trial\", size: 40%}\n  - {name: rest, size: 100%}\n"
	// Nodes that fail in the first stage keep it from the words of a stage of which all have arrived, which would come and go with
	// the first nodes that are silent.
	for name, s := range map[string]story{
		"some fail, are lost and are off; the network is away, and then the service": {nodes, interval, spec,
			sim.Rates{Fail: .03, Lose: .01, Refuse: .02, Offline: .03}, sim.Outage{After: 4600, For: 8300, Share: .4}, [2]float64{20, 26.6}, rollout.Completed},
		"a bundle that is bad is taken back": {nodes / 3, interval, spec + "on_abort: revert\n",
			sim.Rates{Fail: .7, Offline: .03}, sim.Outage{}, [2]float64{}, rollout.Reverted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.tell(t)
		})
	}
}

// tell has it happen, and compares.
func (s story) tell(t *testing.T) {
	s.spec = strings.Replace(s.spec, "SOAK", (s.interval * 20 / 3).String(), 1)
	files := map[string]string{
		"fleet.yaml":               "kind: Fleet\nname: lab\ninterval: " + s.interval.String() + "\nlabels: [stage]\n",
		"roles/all.yaml":           "kind: Role\nmodules: [motd]\n",
		"modules/motd/module.yaml": motd("one"),
		"rollouts/stable.yaml":     s.spec,
	}
	f := &fleet{t: t, repo: gitsourcetest.New(t), data: filepath.Join(t.TempDir(), "data"), dir: t.TempDir(), address: loopback.Any()}
	f.repo.Put(files).Commit("one")
	started := []string{"--interval", s.interval.String(), "--poll", wirePoll.String()}
	f.serve(started...)
	// A service that was started three intervals ago or less cannot say who is silent, and would begin with that.
	hears := time.Now().Add(s.times(3.5))
	agents := programs.Start(t, programs.Command(t, f.env(), "vigo", append([]string{"bench", "fleet", "--state", filepath.Join(f.dir, "bench"), "--connections", "shared",
		"--changes", "0", "--failures", "0", "--rollout", "--duration", "1h", "-o", "json"}, s.flags()...)...))
	agents.Says(t, "measuring for", 10*programs.Patience)
	time.Sleep(time.Until(hears))
	f.repo.Put(map[string]string{"modules/motd/module.yaml": motd("two")}).Commit("two")
	begun := f.awaitStatus("a rollout begins", func(s report.RolloutStatus) bool { return s.ID != "" })
	late := time.Duration(0)
	if s.service[1] > 0 {
		time.Sleep(time.Until(begun.Began.Add(s.times(s.service[0]))))
		f.up.End(syscall.SIGKILL)
		back := begun.Began.Add(s.times(s.service[1]))
		time.Sleep(time.Until(back))
		f.serve(started...)
		late = time.Since(back)
	}
	agents.Wait()
	var got fleetsim.Figures
	if err := json.Unmarshal([]byte(agents.Said.String()), &got); err != nil || got.Rollout.Status == nil {
		t.Fatalf("the fleet: %v: %s", err, agents.Out.String())
	}
	late += time.Duration(got.Delay.Max * float64(time.Millisecond))
	simulated := s.simulate(t, files, begun.Candidate)
	f.isTrue(s, simulated, s.variants(t, begun), got, late)
}

func (s story) times(n float64) time.Duration { return time.Duration(n * float64(s.interval)) }

// outage is that of the network in seconds.
func (s story) outage() sim.Outage {
	return sim.Outage{After: s.network.After * s.interval / 1000, For: s.network.For * s.interval / 1000, Share: s.network.Share}
}

// flags are those that a simulated fleet and a simulated rollout have in common.
func (s story) flags() []string {
	flags := []string{"--prefix", "lab", "--nodes", fmt.Sprint(s.nodes), "--seed", fmt.Sprint(wireSeed), "--interval", s.interval.String(), "--label", fmt.Sprintf("stage=trial:%g", wireTrial)}
	for name, rate := range map[string]float64{"fail": s.rates.Fail, "lose": s.rates.Lose, "refuse": s.rates.Refuse, "offline": s.rates.Offline} {
		flags = append(flags, "--"+name, fmt.Sprint(rate))
	}
	if o := s.outage(); o.For > 0 {
		flags = append(flags, "--network-outage", fmt.Sprintf("%s+%s:%g", o.After, o.For, o.Share))
	}
	return flags
}

// simulate is what `vigo rollout simulate` prints.
func (s story) simulate(t *testing.T, files map[string]string, candidate string) (out sim.Timeline) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	args := append([]string{"rollout", "simulate", dir, "--candidate", candidate, "--poll", wirePoll.String(), "-o", "json"}, s.flags()...)
	if s.service[1] > 0 {
		args = append(args, "--service-outage", fmt.Sprintf("%s+%s", s.times(s.service[0]), s.times(s.service[1]-s.service[0])))
	}
	must(t, json.Unmarshal([]byte(programs.Run(t, nil, "vigo", args...)), &out))
	return out
}

// variants are simulations in which turns and polls fall at other moments.
func (s story) variants(t *testing.T, begun report.RolloutStatus) (all []sim.Timeline) {
	t.Helper()
	specs, _, err := policy.LoadRollouts(fstest.MapFS{"rollouts/stable.yaml": {Data: []byte(s.spec)}}, nil)
	must(t, err)
	c := sim.Config{Spec: specs["stable"], Seed: wireSeed, Rates: s.rates, Stable: begun.Stable, Candidate: begun.Candidate, Start: begun.Began}
	for i := range s.nodes {
		m := sim.Member{Name: fmt.Sprintf("lab-%06d", i), Stages: 0b10}
		if len(sim.LabelsOf([]sim.LabelShare{{Name: "stage", Value: "trial", Share: wireTrial}}, wireSeed, m.Name)) > 0 {
			m.Stages |= 1
		}
		c.Members = append(c.Members, m)
	}
	if o := s.outage(); o.For > 0 {
		c.Outages = append(c.Outages, o)
	}
	if s.service[1] > 0 {
		c.Outages = append(c.Outages, sim.Outage{After: s.times(s.service[0]), For: s.times(s.service[1] - s.service[0]), Service: true})
	}
	for i := range 8 {
		for _, poll := range []time.Duration{wirePoll, 3 * time.Second} { // 3 s: with the time that signing, pushing and looking at a pointer takes
			c.Poll = sim.Beat{Every: poll}
			c.Step = sim.Beat{First: time.Duration(1+i%3) * time.Second, Every: 3 * time.Second}
			c.Turn = sim.Beat{First: time.Duration(i)*s.interval/8 + time.Duration(i)*7*time.Millisecond, Every: s.interval}
			timeline, err := sim.Run(c)
			must(t, err)
			all = append(all, timeline)
		}
	}
	return all
}

// isTrue compares what was simulated with what happened.
func (f *fleet) isTrue(s story, simulated sim.Timeline, variants []sim.Timeline, got fleetsim.Figures, late time.Duration) {
	t := f.t
	t.Helper()
	st := got.Rollout.Status
	want, steps := words(simulated)
	var happened []string
	var at []time.Time
	for _, e := range slices.Backward(st.Log) {
		if e.From != "" { // not that it begins, and by which commit
			happened, at = append(happened, word(e.To, e.Reason, e.Stage, e.Detail)), append(at, e.At)
		}
	}
	if !slices.Equal(want, happened) {
		t.Fatalf("simulated: %q\nhappened: %q", want, happened)
	}
	lo, hi := slices.Clone(steps), slices.Clone(steps)
	for _, v := range variants {
		said, steps := words(v)
		if !slices.Equal(said, want) || !maps.Equal(nonzero(v.Counts), nonzero(simulated.Counts)) {
			t.Fatalf("the story is badly chosen: it depends on the moments of check-ins what becomes of it: %q %v, or %q %v", want, simulated.Counts, said, v.Counts)
		}
		for i, d := range steps {
			lo[i], hi[i] = min(lo[i], d), max(hi[i], d)
		}
	}
	const slack = 6 * time.Second // two steps of the service
	for i, d := range elapsed(st.Began, at) {
		if d < lo[i]-slack-late || d > hi[i]+slack+late {
			t.Errorf("until %q it took %s, simulated: from %s to %s; late by %s", happened[i], d, lo[i], hi[i], late)
		}
	}
	for i, stage := range simulated.Stages {
		if g := st.Stages[i]; g.Members != stage.Members || g.Began.IsZero() != stage.Began.IsZero() || g.Ended.IsZero() != stage.Ended.IsZero() {
			t.Errorf("stage %s: simulated %+v, happened %+v", stage.Name, stage, g)
		}
	}
	if st.Phase != s.ends || simulated.Phase != st.Phase || simulated.Reason != st.Reason || !maps.Equal(nonzero(simulated.Counts), nonzero(st.Counts)) {
		t.Errorf("simulated: %s (%s) %v; happened: %s (%s) %v; want %s", simulated.Phase, simulated.Reason, simulated.Counts, st.Phase, st.Reason, st.Counts, s.ends)
	}
	if has := got.Rollout.Has[st.Candidate] + got.Rollout.Dead; has != simulated.Reached {
		t.Errorf("%d nodes took the bundle, simulated: %d", has, simulated.Reached)
	}
	f.explained(s.fates(*st))
	t.Logf("%d nodes: %q in %s, simulated %s to %s; %v; late by %s", s.nodes, happened, elapsed(st.Began, at), lo, hi, st.Counts, late)
}

// fates are what is to be said of nodes: of one of each fate, when all have taken what was new.
func (s story) fates(st report.RolloutStatus) map[string]rollout.Word {
	words := map[string]rollout.Word{}
	if st.Phase != rollout.Completed {
		return words
	}
	seen := map[rollout.Word]bool{}
	for i := range s.nodes {
		name := fmt.Sprintf("lab-%06d", i)
		word := rollout.Healthy
		switch fate := sim.NewNode(sim.Member{Name: name}, wireSeed, s.rates, s.interval, st.Stable, nil).Fate; {
		case fate.Off:
			word = rollout.Offline
		case fate.Refuses:
			word = rollout.SelfReverted
		case fate.Dies:
			word = rollout.Lost
		case fate.Fails:
			word = rollout.Failed
		}
		if word == rollout.Lost && st.Counts[rollout.Adopting] > 0 {
			continue // some are adopting still: nobody could be seen while they might have been lost
		}
		if !seen[word] {
			seen[word] = true
			words[name] = word
		}
	}
	return words
}

// words are the entries of a timeline, and how long each took.
func words(t sim.Timeline) (said []string, steps []time.Duration) {
	var at []time.Time
	for _, e := range t.Entries {
		if e.What == "" {
			said, at = append(said, word(e.Phase, e.Reason, e.Stage, e.Detail)), append(at, e.At)
		}
	}
	return said, elapsed(t.Entries[0].At, at)
}

func elapsed(began time.Time, at []time.Time) (steps []time.Duration) {
	for _, moment := range at {
		steps, began = append(steps, moment.Sub(began).Round(time.Second)), moment
	}
	return steps
}

var number = regexp.MustCompile(`[0-9]+`)

// word leaves out how many nodes had reported by then.
func word(phase rollout.Phase, reason rollout.Reason, stage, detail string) string {
	return strings.Join(strings.Fields(fmt.Sprintf("%s (%s) %s %s", phase, reason, stage, number.ReplaceAllString(detail, "N"))), " ")
}
