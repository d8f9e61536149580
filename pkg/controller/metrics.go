package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/prune"
)

// metrics are those of one controller; they are registered nowhere until somebody asks.
type metrics struct {
	registry *prometheus.Registry
	commit   *prometheus.GaugeVec
	counter  prometheus.Gauge
	compile  prometheus.Histogram
	publish  prometheus.Histogram
	polls    prometheus.Counter
	failures *prometheus.CounterVec
	failing  *prometheus.GaugeVec
	bundles  prometheus.Counter
	layers   *prometheus.CounterVec
	pointers *prometheus.CounterVec
	seq      *prometheus.GaugeVec
	issued   *prometheus.GaugeVec
	expires  *prometheus.GaugeVec

	pruned        *prometheus.CounterVec
	pruneFailures prometheus.Counter
}

// newMetrics makes the metrics of one controller; those of a further branch carry its name as a label.
func newMetrics(from policy.Origin) *metrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "vigo_controller_" + name, Help: help}, labels)
	}
	count := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vigo_controller_" + name, Help: help}, labels)
	}
	seconds := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "vigo_controller_" + name, Help: help, Buckets: prometheus.ExponentialBuckets(0.01, 2, 12)})
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		commit:   gauge("commit_info", "The commit the fleet is asked to run; always 1.", "commit"),
		counter:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "vigo_controller_release_counter", Help: "Number of commits up to the one the fleet is asked to run."}),
		compile:  seconds("compile_seconds", "Time to check a commit and pack it into layers."),
		publish:  seconds("publish_seconds", "Time from seeing a commit to its last pointer being published."),
		polls:    prometheus.NewCounter(prometheus.CounterOpts{Name: "vigo_controller_polls_total", Help: "Times the branch was looked at."}),
		failures: count("failures_total", "Rounds that failed, by kind: git, policy, registry, trust, approval, forge.", "kind"),
		failing:  gauge("failing", "1 while the last round failed in this way.", "kind"),
		bundles:  prometheus.NewCounter(prometheus.CounterOpts{Name: "vigo_controller_bundles_total", Help: "Bundles pushed."}),
		layers:   count("layers_total", "Layers of pushed bundles: pushed, or reused because the content was there.", "how"),
		pointers: count("pointers_total", "Pointers published.", "channel"),
		seq:      gauge("pointer_seq", "Sequence number of the newest pointer.", "channel"),
		issued:   gauge("pointer_issued_timestamp_seconds", "When the newest pointer was issued.", "channel"),
		expires:  gauge("pointer_expires_timestamp_seconds", "When the newest pointer expires.", "channel"),

		pruned:        count("pruned_total", "Bundles and pointers removed from the registry because nothing needs them.", "kind"),
		pruneFailures: prometheus.NewCounter(prometheus.CounterOpts{Name: "vigo_controller_prune_failures_total", Help: "Times removing old bundles did not work."}),
	}
	var to prometheus.Registerer = m.registry
	if from != (policy.Origin{}) {
		to = prometheus.WrapRegistererWith(prometheus.Labels{"from": from.String()}, m.registry)
	}
	to.MustRegister(m.commit, m.counter, m.compile, m.publish, m.polls, m.failures, m.failing, m.bundles, m.layers, m.pointers, m.seq, m.issued, m.expires, m.pruned, m.pruneFailures)
	for _, kind := range []string{prune.Bundle, prune.Pointer} {
		m.pruned.WithLabelValues(kind)
	}
	for _, kind := range kinds() {
		m.failures.WithLabelValues(kind)
		m.failing.WithLabelValues(kind)
	}
	return m
}

func (m *metrics) channel(name string, p published) {
	m.seq.WithLabelValues(name).Set(float64(p.Pointer.Seq))
	m.issued.WithLabelValues(name).Set(float64(p.Pointer.Issued.Unix()))
	m.expires.WithLabelValues(name).Set(float64(p.Pointer.Expires.Unix()))
}

// drop forgets a channel that is not published from here any more.
func (m *metrics) drop(name string) {
	for _, v := range []*prometheus.GaugeVec{m.seq, m.issued, m.expires} {
		v.DeleteLabelValues(name)
	}
}

// gatherer collects the metrics of the controller and of those of the further branches.
func (c *Controller) gatherer() prometheus.Gatherer {
	all := prometheus.Gatherers{c.metrics.registry}
	for _, one := range c.others.all() {
		all = append(all, one.metrics.registry)
	}
	return all
}

func (m *metrics) outcome(f *Failure) {
	m.failing.Reset()
	for _, kind := range kinds() {
		m.failing.WithLabelValues(kind)
	}
	if f != nil {
		m.failing.WithLabelValues(f.Kind).Set(1)
		m.failures.WithLabelValues(f.Kind).Inc()
	}
}

func (m *metrics) built(rev Revision) {
	m.commit.Reset()
	m.commit.WithLabelValues(rev.Commit).Set(1)
	m.counter.Set(float64(rev.Count))
}

func observe(h prometheus.Histogram, from, to time.Time) { h.Observe(to.Sub(from).Seconds()) }
