package registry

import (
	"net/http"
	"sync"
	"time"
)

// The limits on uploads that come over the network.
const (
	maxUploads    = 64 // under way at once
	maxUploadsOf  = 16 // the same, of one caller
	uploadForgets = 5 * time.Minute
)

// uploads knows what is being uploaded over the network: the sessions of blobs that were begun and not ended, and manifests
// that arrive.
type uploads struct {
	mu   sync.Mutex
	open map[*upload]bool
}

// An upload is one of them. Who has taken it is alone with it.
type upload struct {
	path    string // of its session; empty: it has none
	by      Caller
	size    int64 // bytes so far
	busy    bool
	touched time.Time
}

// begin makes room for another one, and returns those that were left alone for too long, which the caller drops.
func (u *uploads) begin(by Caller) (*upload, []*upload, *refusal) {
	now := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	var left []*upload
	of := 0
	for one := range u.open {
		if !one.busy && now.Sub(one.touched) > uploadForgets {
			delete(u.open, one)
			left = append(left, one)
		} else if one.by == by {
			of++
		}
	}
	if len(u.open) >= maxUploads || of >= maxUploadsOf {
		return nil, left, refuse(http.StatusTooManyRequests, codeTooMany, forBusy, "try again in a moment", "%d uploads are under way, %d of them of this caller", len(u.open), of)
	}
	one := &upload{by: by, busy: true, touched: now}
	if u.open == nil {
		u.open = map[*upload]bool{}
	}
	u.open[one] = true
	return one, left, nil
}

// named gives an upload its session, and leaves it to the next request.
func (u *uploads) named(one *upload, path string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	one.path, one.busy, one.touched = path, false, time.Now()
}

// take returns the upload of a session to its owner, if no other request has it.
func (u *uploads) take(path string, by Caller) (*upload, *refusal) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for one := range u.open {
		if one.path != path || one.by != by {
			continue
		}
		if one.busy {
			return nil, refuse(http.StatusTooManyRequests, codeTooMany, forBusy, "", "another request sends to this upload")
		}
		one.busy = true
		return one, nil
	}
	return nil, refuse(http.StatusNotFound, codeNoUpload, forContent, "begin the upload again", "there is no such upload; one that breaks off, or rests for %s, is dropped", uploadForgets)
}

// leave lets the next request go on with an upload.
func (u *uploads) leave(one *upload) { u.named(one, one.path) }

// end forgets an upload.
func (u *uploads) end(one *upload) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.open, one)
}

// count is how many are under way.
func (u *uploads) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.open)
}
