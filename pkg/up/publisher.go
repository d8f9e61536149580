// Package up puts the programs of the central side together in one process: controller, embedded registry, report
// service and authority, with one data folder.
//
// It refuses to do anything of its own beyond that: each program runs the same in a process of its own.
package up

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/report"
)

// PublisherConfig says what a controller follows and where it publishes.
type PublisherConfig struct {
	Data       string // folder of the controller and of its copy of the repository
	Keys       *controller.Keyring
	Git        string // URL or path of the policy repository
	Branch     string
	Store      bundle.Store
	Language   catalog.Language
	Poll       time.Duration
	PointerTTL time.Duration
	HookToken  string
	Listener   controller.Listener
	Log        *slog.Logger
	Now        func() time.Time
}

// A Publisher is a controller with what it is made of.
type Publisher struct {
	*controller.Controller
	git *gitsource.Source
}

// NewPublisher opens the copy of the repository and makes the controller. The caller closes it.
func NewPublisher(c PublisherConfig) (*Publisher, error) {
	git, err := gitsource.Open(gitsource.Options{URL: c.Git, Branch: c.Branch, Dir: filepath.Join(c.Data, "git")})
	if err != nil {
		return nil, fmt.Errorf("opening the policy repository: %w", err)
	}
	ctl, err := controller.New(controller.Config{
		Data: filepath.Join(c.Data, "controller"), Git: git, Store: c.Store, Keys: c.Keys, Builder: &controller.Bundler{Check: c.Language},
		Poll: c.Poll, PointerTTL: c.PointerTTL, HookToken: c.HookToken, Listener: c.Listener, Log: c.Log, Now: c.Now,
	})
	if err != nil {
		return nil, errors.Join(err, git.Close())
	}
	return &Publisher{ctl, git}, nil
}

// Close closes the copy of the repository; Run must have returned.
func (p *Publisher) Close() error { return p.git.Close() }

// Notes turns the status of a controller into what the report service is told of each channel.
func Notes(s controller.Status) []report.ChannelNote {
	notes := make([]report.ChannelNote, 0, len(s.Channels)+1)
	for _, c := range s.Channels {
		notes = append(notes, report.ChannelNote{Channel: c.Name, Pointer: bundle.Pointer{Epoch: c.Epoch, Seq: c.Seq}.Version(),
			Issued: c.Issued, Expires: c.Expires, Digest: c.Digest, Commit: c.Commit, Checked: s.Polled})
	}
	if s.Failure == nil {
		return notes
	}
	if len(notes) == 0 { // nothing was ever published: the mistake must still be seen
		notes = append(notes, report.ChannelNote{Channel: "stable", Checked: s.Polled})
	}
	for i := range notes {
		notes[i].Error, notes[i].ErrorCommit, notes[i].ErrorSince = failureText(*s.Failure), s.Failure.Commit, s.Failure.Since
	}
	return notes
}

// failureText is the mistakes of a commit, one a line, or what else went wrong.
func failureText(f controller.Failure) string {
	if len(f.Problems) == 0 {
		return strings.TrimSpace(f.Message)
	}
	lines := make([]string, len(f.Problems))
	for i, p := range f.Problems {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// A Noter takes what a controller says of a channel: the report service in this process, or its client.
type Noter interface {
	PutChannel(ctx context.Context, n report.ChannelNote) error
}

// Teller passes the status of a controller on. Only the newest waits while a Noter is slow or away.
type Teller struct {
	latest chan controller.Status
}

// NewTeller makes a Teller; Run delivers.
func NewTeller() *Teller { return &Teller{latest: make(chan controller.Status, 1)} }

// Note implements controller.Listener.
func (t *Teller) Note(s controller.Status) {
	for {
		select {
		case t.latest <- s:
			return
		default:
		}
		select {
		case <-t.latest:
		default:
		}
	}
}

// Run delivers until ctx ends. What could not be delivered is tried again every few seconds, unless something newer came.
func (t *Teller) Run(ctx context.Context, to Noter, log *slog.Logger) {
	const again = 5 * time.Second
	var left []report.ChannelNote
	for {
		var retry <-chan time.Time
		if len(left) > 0 {
			retry = time.After(again)
		}
		select {
		case <-ctx.Done():
			return
		case s := <-t.latest:
			left = Notes(s)
		case <-retry:
		}
		for len(left) > 0 {
			if err := to.PutChannel(ctx, left[0]); err != nil {
				if ctx.Err() == nil {
					log.Warn("telling the report service of a channel", "channel", left[0].Channel, "err", err)
				}
				break
			}
			left = left[1:]
		}
	}
}
