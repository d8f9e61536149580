package agentcmd

import "testing"

func TestTheLimitOfMemoryGrowsWithWhatIsInUse(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for used, want := range map[int64]int64{0: 30 * mib, 16 * mib: 30 * mib, 20 * mib: 36 * mib, 200 * mib: 306 * mib} {
		if got := limitFor(used); got != want {
			t.Errorf("%d MiB in use: a limit of %d MiB, want %d", used/mib, got/mib, want/mib)
		}
	}
}
