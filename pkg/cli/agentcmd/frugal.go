package agentcmd

import (
	"os"
	"runtime"
	"runtime/debug"

	"vigo.dev/pkg/machine"
)

// small is how much memory the heap and the runtime of an agent may take before garbage is looked for at any price, and room
// is what a run takes on top of half more than what is in use. A host is there for something else than its agent: a policy of
// 10,000 files is kept within 40 MB, a larger one grows in proportion, since nothing but looking for garbage would be done
// otherwise.
const small, room = 30 << 20, 6 << 20

// frugal makes this process small between two parts of a run: what is free goes back to the system, with the pages of the
// program, of which the next part needs others. GOMEMLIMIT in the environment decides over the growth of the heap.
func (g *globals) frugal() {
	if err := machine.GiveBack(); err != nil {
		g.log().Debug("going on as large as before", "err", err)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetMemoryLimit(limitFor(int64(m.HeapAlloc)))
}

// limitFor is the limit for a process that has so many bytes of its heap in use.
func limitFor(used int64) int64 { return max(small, used+used/2+room) }
