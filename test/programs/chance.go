package programs

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// Rounds is how often a test kills: VIGO_KILL_ROUNDS, or 5.
func Rounds(t testing.TB) int {
	t.Helper()
	n := os.Getenv("VIGO_KILL_ROUNDS")
	if n == "" {
		return 5
	}
	rounds, err := strconv.Atoi(n)
	if err != nil {
		t.Fatal(err)
	}
	return rounds
}

// Chance is the source of the moments at which a test kills. It logs how to replay them: VIGO_KILL_SEED.
func Chance(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("VIGO_KILL_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("VIGO_KILL_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
