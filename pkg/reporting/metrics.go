package reporting

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"vigo.dev/pkg/report"
)

// metrics are those of the service; each has a registry of its own, so that two services can be in one process.
type metrics struct {
	registry  *prometheus.Registry
	checkIns  prometheus.Counter
	refusals  prometheus.Counter
	notices   *prometheus.CounterVec
	retired   *prometheus.CounterVec
	forgotten prometheus.Counter
	requests  *prometheus.HistogramVec
}

func newMetrics(s *Service) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		checkIns: prometheus.NewCounter(prometheus.CounterOpts{Name: "vigo_report_checkins_total", Help: "Check-ins that were accepted."}),
		refusals: prometheus.NewCounter(prometheus.CounterOpts{Name: "vigo_report_refusals_total", Help: "What nodes would not accept, once for each node and thing; the events name it."}),
		notices: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vigo_report_alert_notices_total", Help: "Notices of alerts that receivers were offered, by receiver and by what came of it: taken or refused."},
			[]string{"receiver", "result"}),
		retired: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vigo_report_nodes_retired_total", Help: "Nodes that were retired, by what did it: person, or silence as --retire-after says."},
			[]string{"by"}),
		forgotten: prometheus.NewCounter(prometheus.CounterOpts{Name: "vigo_report_nodes_forgotten_total", Help: "Nodes that were forgotten because their retirement was long ago."}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "vigo_report_request_seconds", Help: "Time to answer, by route and status.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .05, .25, 1, 5}}, []string{"route", "status"}),
	}
	for _, by := range []string{"person", "silence"} { // they are there before the first is
		m.retired.WithLabelValues(by)
	}
	m.registry.MustRegister(m.checkIns, m.refusals, m.notices, m.retired, m.forgotten, m.requests, &nodeCollector{s}, &storeCollector{s.DB}, &authorityCollector{s}, &replicaCollector{s}, &rolloutCollector{s}, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	return m
}

func (m *metrics) observe(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Observe(took.Seconds())
}

// nodeCollector counts nodes when it is asked.
type nodeCollector struct{ s *Service }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("vigo_report_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c *nodeCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *nodeCollector) Collect(ch chan<- prometheus.Metric) {
	presences := map[report.Presence]int{report.Live: 0, report.Late: 0, report.Stale: 0, report.Missing: 0, report.Never: 0, report.Retired: 0}
	compliances := map[report.Compliance]int{report.ComplianceOK: 0, report.ComplianceChanged: 0, report.ComplianceDrift: 0, report.ComplianceFailed: 0, report.ComplianceNever: 0}
	digests := map[report.Digest]int{report.DigestCurrent: 0, report.DigestBehind: 0, report.DigestAhead: 0, report.DigestCandidate: 0, report.DigestUnknown: 0}
	now := c.s.Now()
	hubs := map[report.Presence]int{report.Live: 0, report.Late: 0, report.Stale: 0, report.Missing: 0, report.Never: 0}
	c.s.eachNode(func(n *node) {
		if n.Hub {
			hubs[c.s.presence(n, now)]++
			return
		}
		st := c.s.nodeStatus(n, now)
		presences[st.Presence]++
		if st.Presence != report.Retired {
			compliances[st.Compliance]++
			digests[st.Digest]++
		}
	})
	c.s.mu.Lock()
	channels := c.s.channels // never changed, only replaced
	c.s.mu.Unlock()
	for name, note := range channels {
		failing := 0.0
		if note.Error != "" {
			failing = 1
		}
		gauge(ch, describe("channel_failing", "1 while the newest commit is not what is published.", "channel"), failing, name)
		gauge(ch, describe("channel_expires_timestamp_seconds", "When the newest pointer expires.", "channel"), float64(note.Expires.Unix()), name)
		gauge(ch, describe("channel_heard_timestamp_seconds", "When the controller was last heard of.", "channel"), float64(note.Heard.Unix()), name)
	}
	send(ch, describe("nodes", "Nodes by presence.", "presence"), presences)
	reboots, _ := c.s.rebootsNow()
	send(ch, describe("reboots", "Nodes that take turns to reboot: those that have a place, those of them that are overdue, and those that wait.", "state"),
		map[string]int{report.Reboots: reboots.Now, report.RebootOverdue: reboots.Overdue, report.RebootWaits: reboots.Waiting})
	send(ch, describe("hubs", "Hubs by presence.", "presence"), hubs)
	send(ch, describe("nodes_compliance", "Nodes by compliance.", "compliance"), compliances)
	send(ch, describe("nodes_digest", "Nodes by how their bundle stands to that of their channel.", "digest"), digests)
}

func send[K ~string](ch chan<- prometheus.Metric, d *prometheus.Desc, counts map[K]int) {
	for label, n := range counts {
		gauge(ch, d, float64(n), string(label))
	}
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}
