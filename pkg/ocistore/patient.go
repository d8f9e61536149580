package ocistore

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// patient is a body that is given up when nothing arrives for a while: a transfer may take long on a thin line, but a
// line that is dead must not hold anybody.
type patient struct {
	r      io.ReadCloser
	pause  time.Duration
	timer  *time.Timer
	late   atomic.Bool
	cancel func()
}

func newPatient(r io.ReadCloser, pause time.Duration, cancel func()) *patient {
	p := &patient{r: r, pause: pause, cancel: cancel}
	p.timer = time.AfterFunc(pause, func() {
		p.late.Store(true)
		cancel()
	})
	p.timer.Stop()
	return p
}

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	p.timer.Reset(p.pause)
	n, err := p.r.Read(b)
	p.timer.Stop()
	if err != nil && p.late.Load() {
		return n, fmt.Errorf("nothing arrived for %s: %w", p.pause, err)
	}
	return n, err
}

// Close implements io.Closer.
func (p *patient) Close() error {
	p.timer.Stop()
	err := p.r.Close()
	p.cancel()
	return err
}
