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

// startForge serves the files of a folder as the answers of a forge: GET /api/v3/x is the file api/v3/x.json. What is posted is
// a line of the file posted, with the token it came with.
func startForge(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: forge DIR")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			body, err := io.ReadAll(r.Body)
			if err == nil {
				err = appendLine(filepath.Join(dir, "posted"), fmt.Sprintf("%s %s %s", r.Header.Get("Authorization"), r.URL.Path, body))
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.WriteHeader(http.StatusCreated)
			return
		}
		data, err := os.ReadFile(filepath.Join(dir, filepath.Clean("/"+r.URL.Path)+".json"))
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			data = []byte(`{"message":"Not Found"}`)
		}
		_, _ = w.Write(data) // the client sees what is missing
	}))
	ts.Defer(server.Close)
	ts.Setenv("FORGE", server.URL)
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(f, line); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
