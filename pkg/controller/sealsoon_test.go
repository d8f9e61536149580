package controller

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestNodesThatJoinAreSealedToSoon looks at once when a node joins, and once for all that join within the pause after that.
func TestNodesThatJoinAreSealedToSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &joins{came: make(chan struct{}, 1)}
		tick, nudge := make(chan time.Time, 1), make(chan struct{}, 1)
		rest := func(want time.Duration, what string) {
			t.Helper()
			began := time.Now()
			if !j.rest(t.Context(), tick, nudge) || time.Since(began) != want {
				t.Errorf("%s: it looks after %s, want %s", what, time.Since(began), want)
			}
		}
		time.Sleep(time.Hour)
		j.came <- struct{}{}
		rest(0, "the first")
		j.came <- struct{}{}
		time.Sleep(time.Second)
		rest(4*time.Second, "another")
		go func() {
			for range 3 {
				time.Sleep(time.Second)
				j.came <- struct{}{}
			}
		}()
		rest(5*time.Second, "three more")
		nudge <- struct{}{}
		rest(0, "a nudge")
		tick <- time.Now()
		rest(0, "the interval")
		ended, end := context.WithCancel(t.Context())
		end()
		if j.rest(ended, tick, nudge) {
			t.Error("it looks although it is to end")
		}
	})
}

// TestOnlySecretsMakeItLookSoon ignores nodes that join a fleet without secrets.
func TestOnlySecretsMakeItLookSoon(t *testing.T) {
	t.Parallel()
	r := newSealRig(t)
	r.repo.Remove("roles", "modules")
	r.repo.Commit("without secrets")
	r.begin()
	r.step()
	if r.c.SealSoon(); len(r.c.joins.came) != 0 {
		t.Error("it looks for nothing")
	}
	r.repo.Put(map[string]string{
		"roles/db.yaml":          "kind: Role\nwhen: role == \"db\"\nmodules: [db]\n",
		"modules/db/module.yaml": "kind: Module\nresources:\n  - file: /a\n    content: '{{ secret \"db/password\" }}'\n",
	})
	r.repo.Commit("with secrets")
	r.step()
	for range 3 {
		r.c.SealSoon() // does not block
	}
	if len(r.c.joins.came) != 1 {
		t.Error("it does not look")
	}
}
