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
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/trust"
)

// PublisherConfig says what a controller follows and where it publishes.
type PublisherConfig struct {
	Data   string // folder of the controller and of its copy of the repository
	Keys   *controller.Keyring
	Git    string // URL or path of the policy repository
	Branch string
	// AllowRewrite is the full hash of a tip that is accepted although the branch was rewritten.
	AllowRewrite string
	Store        bundle.Store
	Secrets      *controller.Sealer // nil: nodes are given no secrets
	Judge        controller.Judge   // nil: nobody says how far rollouts are
	Language     catalog.Language
	Poll         time.Duration
	PointerTTL   time.Duration
	HookToken    string
	Forge        controller.Forge // optional
	// Forges finds the forge of another repository that feeds a channel; nil: none is known.
	Forges    func(url string) (controller.Forge, error)
	Retention controller.Retention
	Marks     map[string]controller.Mark // see [controller.Config]
	Version   string                     // of this program
	Listener  controller.Listener
	Log       *slog.Logger
	Now       func() time.Time
}

// Keys opens the keys of a controller in its data folder, and makes them when there are none.
func Keys(ctx context.Context, data string, o controller.KeyringOptions) (*controller.Keyring, error) {
	return controller.OpenKeyring(ctx, filepath.Join(data, keysDir), o)
}

// InstallRoot puts the root document that signatures are of in force for the controller of a data folder, which must not
// run; the controller publishes it when it is started. ErrLocked if it runs.
func InstallRoot(data string, signatures [][]byte) (root trust.Root, err error) {
	lock, err := LockData(data)
	if err != nil {
		return trust.Root{}, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	return controller.InstallRoot(filepath.Join(data, keysDir), signatures)
}

// A Publisher is a controller with what it is made of.
type Publisher struct {
	*controller.Controller
	git *gitsource.Source
}

// NewPublisher opens the copy of the repository and makes the controller. The caller closes it.
func NewPublisher(c PublisherConfig) (*Publisher, error) {
	git, err := gitsource.Open(gitsource.Options{URL: c.Git, Branch: c.Branch, Dir: filepath.Join(c.Data, gitDir), AllowRewrite: c.AllowRewrite})
	if err != nil {
		return nil, fmt.Errorf("opening the policy repository: %w", err)
	}
	ctl, err := controller.New(controller.Config{
		Data: filepath.Join(c.Data, "controller"), Git: git, Store: c.Store, Keys: c.Keys, Builder: &controller.Bundler{Check: c.Language},
		Witness: c.Keys, Gates: c.Keys, Orders: c.Keys, Secrets: c.Secrets, Judge: c.Judge, Version: c.Version,
		Rules: controller.PolicyRules, Follow: c.follow,
		Poll: c.Poll, PointerTTL: c.PointerTTL, HookToken: c.HookToken, Forge: c.Forge, Retention: c.Retention, Marks: c.Marks, Listener: c.Listener, Log: c.Log, Now: c.Now,
	})
	if err != nil {
		return nil, errors.Join(err, git.Close())
	}
	return &Publisher{ctl, git}, nil
}

// Close closes the copy of the repository; Run must have returned.
func (p *Publisher) Close() error { return p.git.Close() }
