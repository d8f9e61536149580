package reporting

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vigo.dev/pkg/sqlstore"
)

// scrapeTime is how long a collector waits for the store: Prometheus gives up after 10 s unless it is told otherwise, and a page
// without a figure is worth more than none.
const scrapeTime = 5 * time.Second

// storeCollector asks the store for its figures.
type storeCollector struct{ db *sqlstore.DB }

// Describe implements prometheus.Collector.
func (c *storeCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *storeCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	st := c.db.Stats()
	if bytes, err := c.db.Size(ctx); err == nil { // a store that cannot be read shows in /readyz
		gauge(ch, describe("store_bytes", "Size of the store."), float64(bytes))
	}
	count := func(name, help string, value float64) {
		ch <- prometheus.MustNewConstMetric(describe(name, help), prometheus.CounterValue, value)
	}
	count("store_commits_total", "Groups written to the store.", float64(st.Commits))
	count("store_failures_total", "Groups that could not be written.", float64(st.Failures))
	count("store_commit_seconds_total", "Time spent writing groups.", st.Took.Seconds())
	failing := describe("store_failing", "1 while nothing can be kept, by why: full, disk (a quota, read-only, or failing), unreachable, damaged, other.", "reason")
	now, _ := storeReason(st.Failing)
	for _, reason := range storeReasons() {
		value := 0.0
		if st.Failing != nil && reason == now {
			value = 1
		}
		gauge(ch, failing, value, reason)
	}
	if room, ok := c.db.Room(); ok {
		gauge(ch, describe("store_room_bytes", "Bytes that are free on the disk of the store; only of a store in a file."), float64(room))
	}
	gauge(ch, describe("store_waiting", "Operations whose callers wait for their commit."), float64(st.Waiting))
	gauge(ch, describe("store_hot", "Check-ins that wait for their commit."), float64(st.Hot))
}

// authorityCollector says how long the authority is good.
type authorityCollector struct{ s *Service }

// Describe implements prometheus.Collector.
func (c *authorityCollector) Describe(ch chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(c, ch)
}

// Collect implements prometheus.Collector.
func (c *authorityCollector) Collect(ch chan<- prometheus.Metric) {
	gauge(ch, describe("authority_expires_timestamp_seconds", "When the certificate of the authority expires."), float64(c.s.CA.Expires().Unix()))
}
