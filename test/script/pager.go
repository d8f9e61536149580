package script

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// startPager serves receivers of alerts and writes a file for `vigo up --alerts` that names them: pager takes everything, gone wants
// nothing any more. What is taken is a line of the file taken in the folder.
func startPager(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: pager DIR")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(os.WriteFile(filepath.Join(dir, "taken"), nil, 0o644))
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err == nil && r.URL.Path == "/gone" {
			w.WriteHeader(http.StatusGone)
			return
		}
		if err == nil {
			err = appendLine(filepath.Join(dir, "taken"), string(body))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	ts.Defer(server.Close)
	ts.Check(os.WriteFile(filepath.Join(dir, "alerts.yaml"), fmt.Appendf(nil, `receivers:
  pager:
    webhook: {url: "%[1]s/pager", plain_http: true}
  gone:
    webhook: {url: "%[1]s/gone", plain_http: true}
default: [pager]
`, server.URL), 0o644))
}
