package hub

import (
	"path/filepath"
	"testing"
	"time"

	"vigo.dev/pkg/trust"
	"vigo.dev/test/metricspage"
)

// TestMetricsPage: what a hub serves is what the reference says.
func TestMetricsPage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := &Hub{Config: Config{Data: dir}, spool: newSpool(t, filepath.Join(dir, "spool"), 1<<20), nodes: &sightings{}, mirror: &Mirror{}}
	h.mirror.memory.Channels = map[string]trust.Memory{"stable": {}}
	h.metrics = newMetrics(h)
	h.metrics.observe("POST /v1/checkin", 200, time.Second)
	metricspage.Check(t, "Hub", "vigo_hub_", h.metrics.registry)
}
