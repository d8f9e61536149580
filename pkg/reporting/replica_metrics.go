package reporting

import "github.com/prometheus/client_golang/prometheus"

// replicaCollector says how a service stands to the others on its database.
type replicaCollector struct{ s *Service }

// Describe implements prometheus.Collector.
func (c *replicaCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *replicaCollector) Collect(ch chan<- prometheus.Metric) {
	leads := 0.0
	if c.s.Leads() {
		leads = 1
	}
	gauge(ch, describe("leads", "1 for the service that does what must be done once; without others on its store, for every one."), leads)
	if c.s.replica.feed == nil {
		return
	}
	c.s.mu.Lock()
	behind := c.s.Now().Sub(c.s.replica.fed).Seconds()
	c.s.mu.Unlock()
	gauge(ch, describe("replica_behind_seconds", "Time since this service last read what the others on the database have kept."), max(0, behind))
}
