package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemoryIsReadFromTheStatusOfAProcess(t *testing.T) {
	t.Parallel()
	m, err := parseMemory("Name:\tvigo-agent\nVmRSS:\t   20000 kB\nRssAnon:\t    5000 kB\nThreads:\t8\n")
	if err != nil || m["VmRSS"] != 20.48 || m["RssAnon"] != 5.12 {
		t.Errorf("%v, %v", m, err)
	}
	if _, err := parseMemory("Name:\tkthreadd\n"); err == nil {
		t.Error("a status without VmRSS is accepted")
	}
}

func TestPackedIsSmallerWhenItCanBe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "zeros")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	plain, packed, err := sizes(t.Context(), path)
	if err != nil {
		t.Skip(err) // xz is not everywhere
	}
	if plain != 1.048576 || packed <= 0 || packed > 0.01 {
		t.Errorf("a MiB of zeros is %g MB plain and %g MB packed", plain, packed)
	}
}
