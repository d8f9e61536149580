package registry

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// The error codes of the distribution specification that this package answers with itself.
const (
	codeUnauthorized = "UNAUTHORIZED"
	codeDenied       = "DENIED"
	codeTooMany      = "TOOMANYREQUESTS"
	codeUnsupported  = "UNSUPPORTED"
	codeSize         = "SIZE_INVALID"
	codeManifest     = "MANIFEST_INVALID"
	codeUpload       = "BLOB_UPLOAD_INVALID"
	codeNoUpload     = "BLOB_UPLOAD_UNKNOWN"
)

// The reasons requests are counted under when they are refused.
const (
	forAnonymous  = "anonymous"  // nobody said who asks
	forCredential = "credential" // what was shown is worth nothing here
	forRole       = "role"       // who asks may not do that
	forContent    = "content"    // who asks may push, but not that
	forDelete     = "delete"
	forSize       = "size"  // of one upload
	forQuota      = "quota" // of the folder
	forBusy       = "busy"  // too many uploads, or guesses, at once
	forSlow       = "slow"  // the client sent next to nothing
)

func reasons() []string {
	return []string{forAnonymous, forCredential, forRole, forContent, forDelete, forSize, forQuota, forBusy, forSlow}
}

// A refusal is an answer that says no, and why.
type refusal struct {
	status  int
	code    string // of the distribution specification
	reason  string // one of reasons
	message string
	hint    string // what to do; may be empty
}

func refuse(status int, code, reason, hint, format string, args ...any) *refusal {
	return &refusal{status, code, reason, fmt.Sprintf(format, args...), hint}
}

// write answers a request with the refusal, in the form of the distribution specification.
func (f *refusal) write(w http.ResponseWriter) {
	type one struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  string `json:"detail,omitempty"`
	}
	body, err := json.Marshal(map[string][]one{"errors": {{f.code, f.message, f.hint}}})
	if err != nil {
		body = []byte(`{"errors":[]}`) // strings always become JSON
	}
	h := w.Header()
	h.Del("Content-Length")
	h.Set("Content-Type", "application/json")
	switch f.status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Basic realm="vigo", charset="UTF-8"`)
	case http.StatusTooManyRequests:
		h.Set("Retry-After", "10")
	}
	w.WriteHeader(f.status)
	_, _ = w.Write(body) // the client is gone otherwise
}
