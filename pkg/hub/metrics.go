package hub

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vigo.dev/pkg/prune"
)

// metrics are those of one hub.
type metrics struct {
	registry                 *prometheus.Registry
	passed, spokenFor, alone prometheus.Counter
	kept, delivered, refused prometheus.Counter
	fetched, notFetched      prometheus.Counter
	pruned                   *prometheus.CounterVec
	pruneFailures            prometheus.Counter
	requests                 *prometheus.HistogramVec
}

func newMetrics(h *Hub) *metrics {
	checkIns := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vigo_hub_checkins_total",
		Help: "Check-ins of nodes: passed on, spoken for in a report of the hub, or answered alone while the uplink did not work."}, []string{"how"})
	uploads := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vigo_hub_uploads_total",
		Help: "Uploads of nodes: kept on disk, delivered, or refused for good."}, []string{"how"})
	demands := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vigo_hub_layers_on_demand_total",
		Help: "Layers that nodes asked for and that were not there: fetched from upstream, or not."}, []string{"how"})
	m := &metrics{
		fetched: demands.WithLabelValues("fetched"), notFetched: demands.WithLabelValues("failed"),
		pruned: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vigo_hub_pruned_total", Help: "What was removed because nothing needs it."}, []string{"kind"}),
		pruneFailures: prometheus.NewCounter(prometheus.CounterOpts{Name: "vigo_hub_prune_failures_total",
			Help: "Attempts to remove what nothing needs that failed."}),
		registry: prometheus.NewRegistry(),
		passed:   checkIns.WithLabelValues("passed"), spokenFor: checkIns.WithLabelValues("spoken-for"), alone: checkIns.WithLabelValues("alone"),
		kept: uploads.WithLabelValues("kept"), delivered: uploads.WithLabelValues("delivered"), refused: uploads.WithLabelValues("refused"),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "vigo_hub_request_seconds", Help: "Time to answer the site.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8)}, []string{"route", "status"}),
	}
	for _, kind := range []string{prune.Bundle, prune.Pointer} {
		m.pruned.WithLabelValues(kind)
	}
	m.registry.MustRegister(checkIns, uploads, demands, m.pruned, m.pruneFailures, m.requests, &collector{h})
	return m
}

func (m *metrics) observe(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Observe(took.Seconds())
}

// collector tells how the hub is now.
type collector struct{ h *Hub }

// Describe implements prometheus.Collector: what is told depends on the channels.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(name, help string, value float64, labels map[string]string) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("vigo_hub_"+name, help, nil, labels), prometheus.GaugeValue, value)
	}
	files, bytes := c.h.spool.Len()
	gauge("spooled", "Uploads that wait on disk.", float64(files), nil)
	gauge("spooled_bytes", "Bytes of the uploads that wait on disk.", float64(bytes), nil)
	if held, err := c.h.held(); err == nil {
		gauge("store_bytes", "Bytes of all that is mirrored, as it lies on disk.", float64(held), nil)
	}
	c.h.nodes.mu.Lock()
	gauge("nodes", "Nodes that checked in within a day.", float64(len(c.h.nodes.nodes)), nil)
	c.h.nodes.mu.Unlock()
	c.h.mu.Lock()
	up := 0.0
	if c.h.down == nil {
		up = 1
	}
	failing := float64(c.h.trouble.times)
	c.h.mu.Unlock()
	gauge("uplink_up", "1 while the uplink works.", up, nil)
	gauge("mirror_failures", "Looks at upstream that failed one after the other.", failing, nil)
	for channel, version := range c.h.mirror.Versions() {
		gauge("mirror_info", "The pointer the site is shown; always 1.", 1, map[string]string{"channel": channel, "pointer": version})
	}
}

// held is how many bytes the store of the mirror takes.
func (h *Hub) held() (int64, error) {
	entries, err := os.ReadDir(filepath.Join(h.Data, registryDir, filepath.FromSlash(Repository), "blobs", "sha256"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	var sum int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil { // gone meanwhile otherwise
			sum += info.Size()
		}
	}
	return sum, err
}
