package vigocmd

import (
	"runtime"
	"testing"
)

// A service of few nodes has three times the garbage of what it has in use, one of many not much more than a GiB, and never less than
// Go's own rule gives.
func TestGarbageFor(t *testing.T) {
	t.Parallel()
	for inUse, want := range map[uint64]int{0: 300, 1: 300, 20 << 20: 300, 300 << 20: 300, 512 << 20: 200, 600 << 20: 170, 900 << 20: 110, 1 << 30: 100, 8 << 30: 100} {
		if got := garbageFor(inUse); got != want {
			t.Errorf("%d bytes in use: %d %%, want %d", inUse, got, want)
		}
	}
}

// What is in use is known after a collection.
func TestHeapInUse(t *testing.T) {
	t.Parallel()
	runtime.GC()
	if n := heapInUse(); n < 1<<16 {
		t.Errorf("%d bytes in use", n)
	}
}
