package controller

import (
	"io/fs"
	"maps"
	"slices"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/policy"
)

// A Checker knows the vocabulary of policies and finds every mistake of one at once; catalog.Language is one.
type Checker interface {
	Check(p *policy.Policy, c *policy.Content) error
}

// Compile turns the files of a commit into what a bundle is made of: the config, without its layer index, and the
// layers. It is for the channels that are not fed from elsewhere. It is pure. What is wrong with the files comes back all at once as fault.Problems; another error means that
// they could not be read. `vigo build` and `vigo lint` use it, too.
func Compile(fsys fs.FS, check Checker, cfg bundle.Config) (bundle.Config, []policy.Layer, error) {
	p, layers, err := policy.Read(fsys, check.Check)
	if err != nil {
		return cfg, nil, err
	}
	cfg.FormatVersion = 1
	cfg.Fleet = p.Fleet.Name
	for _, name := range slices.Sorted(maps.Keys(p.Fleet.Channels)) {
		if from := p.Fleet.Channels[name].From; from == (policy.Origin{}) || from.Is(cfg.Source.Repo, cfg.Source.Ref) {
			cfg.Channels = append(cfg.Channels, name)
		}
	}
	return cfg, layers, nil
}
