package bundletest

import (
	"testing"

	"vigo.dev/pkg/bundle"
)

func TestMemoryIsAStore(t *testing.T) {
	t.Parallel()
	Run(t, func(*testing.T) bundle.Store { return NewMemory() })
}
