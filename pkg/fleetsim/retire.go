package fleetsim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"vigo.dev/pkg/api"
)

// Retire ends every node and hub of a simulated fleet, and forgets it. It may be repeated when it was interrupted. It
// returns how many it has retired.
func Retire(ctx context.Context, c Config) (n int, err error) {
	s := &Sim{Config: c}
	if s.state, err = openState(c.Dir, c.Prefix); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.state.close()) }()
	var all []enrolled
	for _, name := range slices.Sorted(maps.Keys(s.state.nodes)) {
		all = append(all, s.state.nodes[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.state.hubs)) {
		all = append(all, s.state.hubs[name])
	}
	return len(all), s.each(ctx, "retiring", len(all), func(ctx context.Context, i int) error {
		e := all[i]
		if err := c.People.Retire(ctx, e.Name); err != nil && !errors.Is(err, api.ErrNotFound) {
			return fmt.Errorf("retiring %s: %w", e.Name, err)
		}
		e.Retired, e.Key, e.Certificate, e.Authority = true, "", "", ""
		return s.state.put(e)
	})
}
