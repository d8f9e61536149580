package registry

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"vigo.dev/pkg/bundle"
)

// pull answers with what was asked for. While olareg answers with anything but a blob it holds the repository, and while it
// waits to collect garbage nobody else gets it: so a slow client is not let near, and gets what was written before.
func (r *Registry) pull(w *reply, req *http.Request, next http.Handler) {
	if parts := steps(req); len(parts) > 2 && parts[len(parts)-2] == "blobs" {
		next.ServeHTTP(w, req)
		return
	}
	a := &answer{header: w.Header()}
	next.ServeHTTP(a, req)
	a.WriteHeader(http.StatusOK)
	w.WriteHeader(a.status)
	if a.body.Len() > 0 {
		_, _ = w.Write(a.body.Bytes()) // the client is gone otherwise
	}
}

// steps are the parts of the path, as olareg sees them.
func steps(req *http.Request) []string {
	return strings.Split(strings.Trim(path.Clean("/"+req.URL.Path), "/"), "/")
}

// push takes what somebody who may push sends.
func (r *Registry) push(w *reply, req *http.Request, repository string, who Caller, next http.Handler) {
	parts := steps(req)
	above, last := parts[len(parts)-2], parts[len(parts)-1]
	if !who.all && !r.has(repository) {
		r.refuse(w, req, who, refuse(http.StatusForbidden, codeDenied, forContent, "", "there is no repository %.120q, and operators make none", repository))
		return
	}
	switch {
	case req.Method == http.MethodPut && above == "manifests":
		r.manifest(w, req, target{repository, last}, who, next)
	case req.Method == http.MethodPost && last == "uploads":
		r.beginBlob(w, req, who, next)
	case above == "uploads":
		r.blob(w, req, who, next)
	default: // olareg has no other way to write
		r.refuse(w, req, who, refuse(http.StatusForbidden, codeDenied, forContent, "", "this is no way to push"))
	}
}

// target is where a manifest goes.
type target struct{ repository, reference string }

// manifest takes a manifest: all of it is here before olareg, which holds the repository meanwhile, sees any of it.
func (r *Registry) manifest(w *reply, req *http.Request, to target, who Caller, next http.Handler) {
	one, refused := r.begin(req, who)
	if refused != nil {
		r.refuse(w, req, who, refused)
		return
	}
	defer r.uploads.end(one)
	limit := int64(bundle.MaxManifest)
	if !who.all {
		limit = maxPeopleManifest
	}
	data, refused := r.readManifest(w, req, who, one, limit)
	if refused == nil && !who.all {
		refused = r.forPeople(req, to, data)
	}
	if refused != nil {
		r.usage.give(one.size)
		r.refuse(w, req, who, refused)
		return
	}
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	next.ServeHTTP(w, req)
	if w.status != http.StatusCreated {
		r.usage.give(one.size)
		return
	}
	if !who.all {
		r.tell(Incident{By: who, Address: address(req), Request: req.Method + " " + req.URL.Path, Text: to.reference})
	}
}

func (r *Registry) readManifest(w *reply, req *http.Request, who Caller, one *upload, limit int64) ([]byte, *refusal) {
	body := r.intake(w, req, who, one, limit)
	if body.refused != nil {
		return nil, body.refused
	}
	data, err := io.ReadAll(body)
	if err != nil && body.refused == nil {
		return nil, refuse(http.StatusBadRequest, codeManifest, forContent, "", "it did not come to its end")
	}
	return data, body.refused
}

// begin makes room for an upload, and drops those that nobody went on with.
func (r *Registry) begin(req *http.Request, who Caller) (*upload, *refusal) {
	one, left, refused := r.uploads.begin(who)
	for _, old := range left {
		r.drop(req.Context(), old)
	}
	return one, refused
}

// beginBlob begins the upload of a blob. What may come in one request with it (the whole blob, or a mount of one that another
// repository has) is passed over, as the specification allows: clients then send the blob.
func (r *Registry) beginBlob(w *reply, req *http.Request, who Caller, next http.Handler) {
	one, refused := r.begin(req, who)
	if refused == nil && !r.usage.fits(0, r.percent(who)) {
		r.uploads.end(one)
		refused = r.full(r.percent(who))
	}
	if refused != nil {
		r.refuse(w, req, who, refused)
		return
	}
	req.URL.RawQuery, req.Body, req.ContentLength = "", http.NoBody, 0
	next.ServeHTTP(w, req)
	where, err := url.Parse(w.Header().Get("Location"))
	if w.status != http.StatusAccepted || err != nil {
		r.uploads.end(one)
		return
	}
	r.uploads.named(one, path.Clean(where.Path))
}

// blob takes a part of a blob, or all of it, or is asked how far it is. One that breaks off is dropped: nothing half-written
// stays.
func (r *Registry) blob(w *reply, req *http.Request, who Caller, next http.Handler) {
	one, refused := r.uploads.take(path.Clean(req.URL.Path), who)
	if refused != nil {
		r.refuse(w, req, who, refused)
		return
	}
	limit := r.MaxUpload
	if !who.all {
		limit = min(limit, maxPeopleBlob)
	}
	var body *intake
	if req.Method == http.MethodPatch || req.Method == http.MethodPut {
		body = r.intake(w, req, who, one, limit)
		req.Body = body
	}
	if body != nil && body.refused != nil {
		r.refuse(w, req, who, body.refused)
	} else {
		next.ServeHTTP(w, req)
	}
	switch {
	case body.failed(), req.Method == http.MethodPut && w.status != http.StatusCreated:
		r.drop(req.Context(), one)
	case req.Method == http.MethodPut:
		r.uploads.end(one)
	case req.Method == http.MethodDelete:
		r.usage.give(one.size)
		r.uploads.end(one)
	default:
		r.uploads.leave(one)
	}
}

// intake is the body of a request that sends to an upload. What is known to be too much is refused before it is read.
func (r *Registry) intake(w *reply, req *http.Request, who Caller, one *upload, limit int64) *intake {
	percent := r.percent(who)
	body := &intake{body: req.Body, control: w.control, admit: func(n int64) *refusal {
		r.metrics.bytes.WithLabelValues("in").Add(float64(n))
		if one.size+n > limit {
			return r.tooLarge(limit)
		}
		if n > 0 && !r.usage.take(n, percent) {
			return r.full(percent)
		}
		one.size += n
		return nil
	}}
	if said := req.ContentLength; said > 0 {
		if one.size+said > limit {
			body.refused = r.tooLarge(limit)
		} else if !r.usage.fits(said, percent) {
			body.refused = r.full(percent)
		}
	}
	if body.refused == nil {
		w.body = body
	}
	return body
}

// drop ends an upload that will not come to its end, with what there is of it.
func (r *Registry) drop(ctx context.Context, one *upload) {
	r.uploads.end(one)
	r.usage.give(one.size)
	if one.path != "" {
		r.cancel(ctx, one.path)
	}
}

// cancel has olareg forget the session of an upload.
func (r *Registry) cancel(ctx context.Context, session string) {
	ctx = context.WithValue(context.WithoutCancel(ctx), insider{}, true)
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, session, http.NoBody)
	if err != nil {
		return // a path that came from olareg is one
	}
	r.server.ServeHTTP(&answer{header: http.Header{}}, req)
}

// percent is how much of the quota somebody may use up.
func (r *Registry) percent(who Caller) int64 {
	if who.all {
		return 100
	}
	return peoplePercent
}

func (r *Registry) tooLarge(limit int64) *refusal {
	return refuse(http.StatusRequestEntityTooLarge, codeSize, forSize, "", "it has more than the %d bytes that one upload may have here", limit)
}

func (r *Registry) full(percent int64) *refusal {
	return refuse(http.StatusInsufficientStorage, codeDenied, forQuota, "raise --registry-quota, or keep fewer bundles: --keep, --keep-for",
		"the registry is full: %d bytes are used, and this may be stored up to %d", r.usage.used(), r.usage.quota/100*percent)
}
