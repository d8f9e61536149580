//go:build linux

package machine

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// While a file system hangs, it is asked once, however often its usage is wanted; others are asked meanwhile.
func TestUsageOfWhatHangs(t *testing.T) {
	t.Parallel()
	var u usages
	calls, answer := make(chan string, 9), make(chan struct{})
	ask := func(path string) *asking {
		return u.ask(path, func() (st unix.Statfs_t, err error) {
			calls <- path
			if path == "/hung" {
				<-answer
			}
			st.Blocks = 7
			return st, errors.New("gone")
		})
	}
	first, again := ask("/hung"), ask("/hung")
	<-ask("/").done
	close(answer)
	<-first.done
	<-again.done
	if again.st.Blocks != 7 || again.err == nil {
		t.Errorf("who came later is told %d blocks, %v", again.st.Blocks, again.err)
	}
	<-ask("/hung").done // it is asked anew once it has answered
	close(calls)
	count := map[string]int{}
	for path := range calls {
		count[path]++
	}
	if count["/hung"] != 2 || count["/"] != 1 {
		t.Errorf("asked: %v", count)
	}
}
