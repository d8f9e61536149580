package hub

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"vigo.dev/pkg/api"
)

const roomy = 1 << 20

func newSpool(t *testing.T, dir string, limit int64) *spool {
	t.Helper()
	s, err := openSpool(dir, limit)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *spool, from string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if err := s.Put(from, false, api.Relayed{Path: "/v1/runs", Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
}

// drained are the bodies that were offered, sorted, while each got a verdict.
func drained(t *testing.T, s *spool, say func(body string) verdict) []string {
	t.Helper()
	var mu sync.Mutex
	var got []string
	if err := s.Drain(t.Context(), func(_ context.Context, r api.Relayed) verdict {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(r.Body))
		return say(string(r.Body))
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	return got
}

func want(t *testing.T, what string, got []string, bodies ...string) {
	t.Helper()
	if !slices.Equal(got, bodies) {
		t.Errorf("%s: %v, want %v", what, got, bodies)
	}
}

func always(v verdict) func(string) verdict { return func(string) verdict { return v } }

// What was taken is offered until somebody has it, also after a restart; then it is gone.
func TestASpoolKeepsWhatItTook(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newSpool(t, dir, roomy)
	put(t, s, "web-1", "a", "b")
	put(t, s, "web-2.x-y", "c")
	want(t, "not now", drained(t, s, always(later)), "a", "b", "c")
	s = newSpool(t, dir, roomy)
	put(t, s, "web-1", "d")
	want(t, "after a restart", drained(t, s, func(body string) verdict {
		if body == "b" {
			return later
		}
		return delivered
	}), "a", "b", "c", "d")
	want(t, "what was not taken", drained(t, newSpool(t, dir, roomy), always(delivered)), "b")
	if files, bytes := newSpool(t, dir, roomy).Len(); files != 0 || bytes != 0 {
		t.Errorf("%d files of %d bytes are left", files, bytes)
	}
}

// When nobody is there, nothing more is tried than a few at once.
func TestASpoolDoesNotInsist(t *testing.T) {
	t.Parallel()
	s := newSpool(t, t.TempDir(), roomy)
	for i := range 50 {
		put(t, s, "web-1", fmt.Sprint(i))
	}
	if got := drained(t, s, always(away)); len(got) == 0 || len(got) > couriers {
		t.Errorf("%d were tried, want a few", len(got))
	}
	if files, _ := s.Len(); files != 50 {
		t.Errorf("%d are left of 50", files)
	}
}

// A full spool says so and takes nothing; the nodes keep it. One node cannot take the room of all.
func TestASpoolIsBounded(t *testing.T) {
	t.Parallel()
	s := newSpool(t, t.TempDir(), 1000)
	var err error
	for range 100 {
		if err = s.Put("web-1", false, api.Relayed{Body: make([]byte, 100)}); err != nil {
			break
		}
	}
	files, bytes := s.Len()
	if !errors.Is(err, api.ErrStore) || files == 0 || bytes > 1000 {
		t.Errorf("%d files of %d bytes were taken, then %v", files, bytes, err)
	}
	drained(t, s, always(delivered))
	put(t, s, "web-1", "again")

	s = newSpool(t, t.TempDir(), 1<<30)
	s.counts["web-1"] = perSender
	if err := s.Put("web-1", false, api.Relayed{}); !errors.Is(err, api.ErrStore) {
		t.Errorf("a node with %d uploads: %v", perSender, err)
	}
	put(t, s, "web-2", "another")
	if err := s.Put("web-1", true, api.Relayed{}); err != nil {
		t.Errorf("a hub with those of many: %v", err)
	}
}

// What is refused for good, or cannot be read, is put aside and holds nothing up; of that, too, not all is kept.
func TestASpoolPutsAside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newSpool(t, dir, roomy)
	put(t, s, "web-1", "bad", "good", "cut")
	if err := os.Truncate(filepath.Join(dir, s.waiting[2].name), 10); err != nil {
		t.Fatal(err)
	}
	for i := range putAside + 5 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%016d-old.json.refused", -putAside-10+i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "offered", drained(t, s, func(body string) verdict {
		if body == "bad" {
			return refused
		}
		return delivered
	}), "bad", "good")
	if files, bytes := s.Len(); files != 0 || bytes != 0 {
		t.Errorf("%d files of %d bytes wait", files, bytes)
	}
	for pattern, many := range map[string]int{"*web-1.json.refused": 1, "*web-1.json.damaged": 1, "*.json.*": putAside, "*.json": 0} {
		if got, err := filepath.Glob(filepath.Join(dir, pattern)); err != nil || len(got) != many {
			t.Errorf("%d files are like %s, want %d", len(got), pattern, many)
		}
	}
}
