package controller

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/gitsource"
)

// TestKill kills a controller with SIGKILL at random moments of its work and checks what it has left: a state that can
// be read, numbers that only go up, and never two contents under one number. VIGO_KILL_ROUNDS says how often.
func TestKill(t *testing.T) {
	t.Parallel()
	rounds := 6
	if n := os.Getenv("VIGO_KILL_ROUNDS"); n != "" {
		var err error
		if rounds, err = strconv.Atoi(n); err != nil {
			t.Fatal(err)
		}
	}
	r := newRig(t)
	r.repo.Commit("first")
	var last int64
	for round := range rounds {
		r.repo.Put(map[string]string{"motd": fmt.Sprint(round)}).Commit(fmt.Sprint("round ", round))
		killed(t, r, round)
		oneDigestATag(t, r.store)
		state, err := loadState(r.data)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if p, _, _, err := r.keys.Current(t.Context(), r.store, "acme", "staging"); err == nil {
			ours := state.Channels["staging"].Pointer
			if p.Seq < last || p.Seq > ours.Seq {
				t.Fatalf("round %d: the registry shows %d after %d; the state says %d", round, p.Seq, last, ours.Seq)
			}
			last = p.Seq
		}
	}
	r.now = clockOf(rounds)
	r.start()
	r.step()
	if s := r.c.Status(); s.Failure != nil || len(s.Channels) != 2 || s.Built.Subject != fmt.Sprint("round ", rounds-1) {
		t.Errorf("after the last start: %+v", s)
	}
	oneDigestATag(t, r.store)
	contiguous(t, r.store, "channel-staging-1.")
}

func clockOf(round int) time.Time {
	return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).Add(time.Duration(round) * time.Hour)
}

// killed starts a controller in another process, waits until it has done some rounds, and kills it a moment later.
func killed(t *testing.T, r *rig, round int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKillChild$")
	cmd.Env = append(os.Environ(), "VIGO_KILL_CHILD="+strings.Join([]string{r.repo.Dir, r.data, r.store.dir, strconv.Itoa(round)}, string(os.PathListSeparator)))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range rand.IntN(4) + 1 {
		if !lines.Scan() {
			t.Fatalf("round %d: the controller ended by itself: %v\n%s", round, cmd.Wait(), stderr.String())
		}
		if strings.HasPrefix(lines.Text(), "error") {
			t.Errorf("round %d: %s", round, lines.Text())
		}
	}
	// The moment is random on purpose: anywhere inside the next steps.
	time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait() // it was killed
}

// contiguous fails when a number between the first and the last was never published.
func contiguous(t *testing.T, s *dirStore, prefix string) {
	t.Helper()
	found, highest := map[int]bool{}, 0
	for tag := range s.history(t) {
		if n, ok := strings.CutPrefix(tag, prefix); ok {
			seq, err := strconv.Atoi(n)
			if err != nil {
				t.Fatal(err)
			}
			found[seq], highest = true, max(highest, seq)
		}
	}
	for i := 1; i <= highest; i++ {
		if !found[i] {
			t.Errorf("number %d of %d was never published", i, highest)
		}
	}
	t.Logf("%d pointers", highest)
}

// TestKillChild is the process that TestKill kills; by itself it does nothing.
func TestKillChild(t *testing.T) {
	args := os.Getenv("VIGO_KILL_CHILD")
	if args == "" {
		return
	}
	dirs := filepath.SplitList(args)
	round, err := strconv.Atoi(dirs[3])
	if err != nil {
		t.Fatal(err)
	}
	src, err := gitsource.Open(gitsource.Options{URL: dirs[0], Dir: filepath.Join(dirs[1], "git")})
	if err != nil {
		t.Fatal(err)
	}
	now := clockOf(round)
	c, err := New(Config{
		Data: dirs[1], Git: src, Store: newDirStore(t, dirs[2]), Keys: newTestKeys("ours"), Builder: testBuilder{}, PointerTTL: time.Minute,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	for {
		if err := c.Step(t.Context()); err != nil {
			fmt.Println("error", err)
		} else {
			fmt.Println("step")
		}
		now = now.Add(16 * time.Second) // every step is a heartbeat
	}
}
