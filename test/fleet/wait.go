//go:build linux

package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrFinal wraps an error that trying again cannot mend: [WaitFor] returns it at once.
var ErrFinal = errors.New("cannot come true any more")

// WaitFor tries until it works, again after each interval, where the system offers no event to wait for. When ctx ends
// it returns the last error.
func WaitFor(ctx context.Context, interval time.Duration, try func(context.Context) error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last error
	for {
		select {
		case <-ctx.Done():
			if last == nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%w, after: %w", context.Cause(ctx), last)
		case <-timer.C:
		}
		err := try(ctx)
		if err == nil || errors.Is(err, ErrFinal) {
			return err
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		timer.Reset(interval)
	}
}
