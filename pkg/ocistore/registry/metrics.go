package registry

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are those of one registry; what its own process does is not counted, but for refusals.
type metrics struct {
	requests, bytes, refused *prometheus.CounterVec
}

func newMetrics() *metrics {
	count := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vigo_registry_" + name, Help: help}, labels)
	}
	m := &metrics{
		requests: count("requests_total", "Requests over the network: ok, missing (what was asked for is not there), refused, bad (makes no sense) or failed.", "method", "outcome"),
		bytes:    count("bytes_total", "Bytes of bodies over the network: in, out.", "direction"),
		refused:  count("refused_total", "Requests that were refused, by why.", "reason"),
	}
	for _, reason := range reasons() {
		m.refused.WithLabelValues(reason)
	}
	return m
}

// answered counts a request of the network.
func (m *metrics) answered(method string, w *reply) {
	outcome := "ok"
	switch {
	case w.refused != nil:
		outcome = "refused"
		m.refused.WithLabelValues(w.refused.reason).Inc()
	case w.status == http.StatusNotFound:
		outcome = "missing"
	case w.status >= 500:
		outcome = "failed"
	case w.status >= 400:
		outcome = "bad"
	}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(method, outcome).Inc()
	m.bytes.WithLabelValues("out").Add(float64(w.bytes))
}

// MetricsHandler answers with the metrics of the registry alone; in a program with others, register the registry with those.
func (r *Registry) MetricsHandler() http.Handler {
	all := prometheus.NewRegistry()
	all.MustRegister(r)
	return promhttp.HandlerFor(all, promhttp.HandlerOpts{})
}

// Describe implements prometheus.Collector.
func (r *Registry) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(r, ch) }

// Collect implements prometheus.Collector: requests, bytes and refusals, and how full the folder is.
func (r *Registry) Collect(ch chan<- prometheus.Metric) {
	for _, c := range []*prometheus.CounterVec{r.metrics.requests, r.metrics.bytes, r.metrics.refused} {
		c.Collect(ch)
	}
	gauge := func(name, help string, value float64) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("vigo_registry_"+name, help, nil, nil), prometheus.GaugeValue, value)
	}
	gauge("used_bytes", "Bytes in the folder of the registry, as they were within a minute.", float64(r.usage.used()))
	gauge("quota_bytes", "Bytes the folder may hold before new bundles are refused; 0: no limit.", float64(r.usage.quota))
	gauge("uploads", "Uploads over the network that are under way.", float64(r.uploads.count()))
}
