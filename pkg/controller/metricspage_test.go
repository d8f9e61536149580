package controller

import (
	"testing"
	"time"

	"vigo.dev/pkg/policy"
	"vigo.dev/test/metricspage"
)

// TestMetricsPage: what a controller serves is what the reference says.
func TestMetricsPage(t *testing.T) {
	t.Parallel()
	m := newMetrics(policy.Origin{})
	m.commit.WithLabelValues("4f1c2a9")
	m.layers.WithLabelValues("pushed")
	m.pointers.WithLabelValues("stable")
	m.channel("stable", published{})
	observe(m.compile, time.Time{}, time.Time{})
	metricspage.Check(t, "Controller", "vigo_controller_", m.registry)
}
