package deliver

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// A Watch reads a configuration again when its file, or one that it names, is another: passwords and authorities are renewed
// without a restart, too.
type Watch struct {
	Path    string
	KeyFile string // as of [New]
	Fleet   string
	Version string
	// Again has the file be read at once, changed or not; nil: never.
	Again <-chan os.Signal
	// Every is between two looks; 0: two seconds. A change is taken over when it was seen twice, so that a file that is being
	// written is left alone.
	Every time.Duration
}

// Open reads the configuration and opens what it names.
func (w Watch) Open() (*Service, error) {
	conf, err := ReadConfig(w.Path)
	if err != nil {
		return nil, err
	}
	return New(conf, w.KeyFile, w.Fleet, w.Version)
}

// Run tells of each change until ctx ends: use is given what there is now, refuse why it cannot be used.
func (w Watch) Run(ctx context.Context, use func(*Service), refuse func(error)) {
	if w.Every <= 0 {
		w.Every = 2 * time.Second
	}
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	used := w.print()
	last := used
	for {
		force := false
		select {
		case <-ctx.Done():
			return
		case <-w.Again:
			force = true
		case <-tick.C:
		}
		now := w.print()
		if !force && (now == used || now != last) {
			last = now
			continue
		}
		used, last = now, now
		if s, err := w.Open(); err != nil {
			refuse(err)
		} else {
			use(s)
		}
	}
}

// print changes when the file does, or one that it names.
func (w Watch) print() string {
	h := sha256.New()
	paths := []string{w.Path}
	if conf, err := ReadConfig(w.Path); err == nil {
		paths = append(paths, conf.files()...)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			data = []byte(reason(err))
		}
		fmt.Fprintf(h, "%q %d ", path, len(data))
		h.Write(data)
	}
	return string(h.Sum(nil))
}

// reason is an error without what changes from time to time.
func reason(err error) string {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		err = e.Err
	}
	return err.Error()
}

// files are those that a configuration names, in order.
func (c Config) files() []string {
	list := []string{c.SigningKey}
	hook := func(w *Webhook) { list = append(list, w.URLFile, w.BearerFile, w.CA) }
	for _, r := range c.Receivers {
		if r.SMTP != nil {
			list = append(list, r.SMTP.PasswordFile, r.SMTP.CA)
		}
		if r.Webhook != nil {
			hook(r.Webhook)
		}
	}
	if c.Heartbeat != nil {
		hook(&c.Heartbeat.Webhook)
	}
	slices.Sort(list)
	list = slices.Compact(list)
	return slices.DeleteFunc(list, func(path string) bool { return path == "" })
}
