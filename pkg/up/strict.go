package up

import (
	"net/http"
	"strings"
)

// strict refuses bodies whose length nobody has said, and ends connections of which two readers may think differently where the next
// request begins: one that has both lengths, or a version of HTTP that does not know the second. Nobody that brings requests to
// a service needs them; clients of the registry (/v2/) do, whose connections end with such a request.
func strict(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chunked := len(r.TransferEncoding) > 0
		if chunked || !r.ProtoAtLeast(1, 1) {
			w.Header().Set("Connection", "close")
		}
		if chunked && !strings.HasPrefix(r.URL.Path, "/v2/") {
			http.Error(w, "a body is sent with its length", http.StatusLengthRequired)
			return
		}
		if r.Method == http.MethodConnect { // what follows would be for somebody else
			w.Header().Set("Connection", "close")
			http.Error(w, "this is no proxy", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}
