package cli

import (
	"fmt"
	"time"
)

// patience is how long a command may be silent before it says what it is waiting for.
const patience = time.Second

// Wait does something that may last, and says on standard error what when that takes more than a second. On a terminal
// the line counts the seconds and is gone when Wait returns; elsewhere it is said once.
func Wait[T any](env *Env, what string, do func() (T, error)) (T, error) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		env.count(what, stop)
	}()
	defer func() {
		close(stop)
		<-stopped
	}()
	return do()
}

// count says what is waited for until stop is closed.
func (e *Env) count(what string, stop <-chan struct{}) {
	tick := time.NewTicker(patience)
	defer tick.Stop()
	for seconds := 1; ; seconds++ {
		select {
		case <-stop:
			if e.Live && seconds > 1 {
				fmt.Fprint(e.Stderr, "\r\x1b[K")
			}
			return
		case <-tick.C:
		}
		switch {
		case e.Live:
			fmt.Fprintf(e.Stderr, "\r\x1b[K%s: %s … %ds", e.Name, what, seconds)
		case seconds == 1:
			fmt.Fprintf(e.Stderr, "%s: %s …\n", e.Name, what)
		}
	}
}
