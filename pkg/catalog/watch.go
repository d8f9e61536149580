package catalog

import "vigo.dev/pkg/fault"

// A Watch is told which way each condition went while a catalog was built. A nil one is not.
type Watch func(at fault.Pos, held bool)

func (w Watch) condition(at fault.Pos, held bool) {
	if w != nil {
		w(at, held)
	}
}
