package resources_test

import (
	"testing"

	"vigo.dev/pkg/resource/resourcetest"
	"vigo.dev/pkg/resources"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	resourcetest.Run(t, resources.Registry(), "testdata")
}
