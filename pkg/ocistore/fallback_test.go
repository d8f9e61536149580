package ocistore_test

import (
	"net/http"
	"strings"
)

// withoutReferrers is a registry of before OCI 1.1: no referrers API, and no word that it knows subjects.
type withoutReferrers struct{ next http.Handler }

func (h withoutReferrers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "/referrers/") {
		http.NotFound(w, r)
		return
	}
	h.next.ServeHTTP(silent{w}, r)
}

type silent struct{ http.ResponseWriter }

func (s silent) WriteHeader(status int) {
	s.Header().Del("OCI-Subject")
	s.ResponseWriter.WriteHeader(status)
}
