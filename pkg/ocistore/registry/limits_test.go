package registry_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/ocistore/registry"
)

// leftovers are the files of uploads that did not come to their end.
func leftovers(t *testing.T, dir string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.Contains(path, "_uploads") {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (r *opened) metrics(t *testing.T) string {
	t.Helper()
	w := httptest.NewRecorder()
	r.MetricsHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	return w.Body.String()
}

func (r *opened) counts(t *testing.T, lines ...string) {
	t.Helper()
	all := r.metrics(t)
	for _, line := range lines {
		if !strings.Contains(all, line+"\n") {
			t.Errorf("metrics do not say %s:\n%s", line, all)
		}
	}
}

func layer(text string) (bundle.Descriptor, io.Reader) {
	return bundle.DescriptorOf(bundle.LayerMediaType, []byte(text)), strings.NewReader(text)
}

// TestQuota: a full registry takes no new bundle and says so; what is there is served and kept alive, and there is room again as
// soon as something is removed.
func TestQuota(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := open(t, registry.Options{Quota: 1 << 20})
		big, data := layer(strings.Repeat("a", 960<<10))
		if err := r.store.Push(t.Context(), big, data); err != nil {
			t.Fatal(err)
		}
		// Nine tenths are used: people have to wait, the controller goes on.
		if res := r.ask(t, "operator", "POST", repository+"/blobs/uploads/", nil); res.StatusCode != http.StatusInsufficientStorage || code(t, res) != "DENIED" {
			t.Errorf("an operator begins an upload: %d", res.StatusCode)
		}
		small, data := layer(strings.Repeat("b", 10<<10))
		if err := r.store.Push(t.Context(), small, data); err != nil {
			t.Errorf("the controller has a tenth more: %v", err)
		}
		next, data := layer(strings.Repeat("c", 100<<10))
		if err := r.store.Push(t.Context(), next, data); err == nil || !strings.Contains(err.Error(), "the registry is full") || !strings.Contains(err.Error(), "--registry-quota") {
			t.Errorf("a layer beyond the quota: %v", err)
		}
		if left := leftovers(t, r.Dir); len(left) != 0 {
			t.Errorf("left: %q", left)
		}

		// The heartbeat of a channel is beyond it.
		pointer := r.put(t, r.store, bundle.Manifest{ArtifactType: bundle.PointerType, Config: blob(t, r.store, "{}"), Layers: []bundle.Descriptor{blob(t, r.store, strings.Repeat("s", 100<<10))}})
		if err := r.store.Tag(t.Context(), pointer, "channel-stable"); err != nil {
			t.Error(err)
		}
		if _, err := bundle.Fetch(t.Context(), r.store, big, big.Size); err != nil {
			t.Errorf("what was there: %v", err)
		}
		r.counts(t, `vigo_registry_refused_total{reason="quota"} 2`, "vigo_registry_quota_bytes 1.048576e+06")

		if err := os.Remove(filepath.Join(r.Dir, repository, "blobs/sha256", strings.TrimPrefix(big.Digest, "sha256:"))); err != nil { // as its collection does
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // of a clock that does not wait
		next, data = layer(strings.Repeat("c", 100<<10))
		if err := r.store.Push(t.Context(), next, data); err != nil {
			t.Errorf("there is room again: %v", err)
		}
	})
}

// begin begins the upload of a blob, and returns where it goes.
func (r *opened) begin(t *testing.T) string {
	t.Helper()
	res := r.ask(t, "operator", "POST", repository+"/blobs/uploads/", nil)
	if res.StatusCode != http.StatusAccepted {
		t.Fatalf("beginning an upload: %d", res.StatusCode)
	}
	return strings.TrimPrefix(res.Header.Get("Location"), "/v2/")
}

// send sends to an upload, without saying how much it is going to be.
func (r *opened) send(t *testing.T, method, where string, body io.Reader) *http.Response {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, "https://vigo.example.com/v2/"+where, struct{ io.Reader }{body})
	req.SetBasicAuth("anybody", "operator")
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w.Result()
}

type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestUploadsThatFailLeaveNothing: too large, said or not, in one part or in many; cut off; of other content than was said.
func TestUploadsThatFailLeaveNothing(t *testing.T) {
	t.Parallel()
	half := bytes.Repeat([]byte("x"), 600<<10)
	for name, c := range map[string]struct {
		last func(t *testing.T, r *opened, where string) *http.Response
		want string
	}{
		"too large, in one part": {func(t *testing.T, r *opened, where string) *http.Response {
			return r.send(t, "PATCH", where, io.MultiReader(bytes.NewReader(half), bytes.NewReader(half)))
		}, "413 SIZE_INVALID"},
		"too large, as it says": {func(t *testing.T, r *opened, where string) *http.Response {
			return r.ask(t, "operator", "PATCH", where, append(half, half...))
		}, "413 SIZE_INVALID"},
		"too large, in two parts": {func(t *testing.T, r *opened, where string) *http.Response {
			first := r.send(t, "PATCH", where, bytes.NewReader(half))
			if first.StatusCode != http.StatusAccepted {
				t.Errorf("the first part: %d", first.StatusCode)
			}
			return r.send(t, "PATCH", strings.TrimPrefix(first.Header.Get("Location"), "/v2/"), bytes.NewReader(half))
		}, "413 SIZE_INVALID"},
		"cut off": {func(t *testing.T, r *opened, where string) *http.Response {
			return r.send(t, "PATCH", where, io.MultiReader(bytes.NewReader(half), cut{}))
		}, "500 "},
		"other content": {func(t *testing.T, r *opened, where string) *http.Response {
			return r.send(t, "PUT", where+"&digest="+bundle.DigestOf([]byte("other")), bytes.NewReader(half))
		}, "400 BLOB_UPLOAD_INVALID"},
		"given up": {func(t *testing.T, r *opened, where string) *http.Response {
			r.send(t, "PATCH", where, bytes.NewReader(half))
			return r.send(t, "DELETE", where, nil)
		}, "204 "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := open(t, registry.Options{})
			where := r.begin(t)
			res := c.last(t, r, where)
			if got := fmt.Sprintf("%d %s", res.StatusCode, code(t, res)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if left := leftovers(t, r.Dir); len(left) != 0 {
				t.Errorf("left: %q", left)
			}
			if res := r.send(t, "PATCH", where, strings.NewReader("more")); res.StatusCode != 404 || code(t, res) != "BLOB_UPLOAD_UNKNOWN" {
				t.Errorf("it goes on: %d", res.StatusCode)
			}
			r.counts(t, "vigo_registry_uploads 0")
		})
	}
}

// TestAnUploadIsOfWhoBeganIt, and it is finished in two parts.
func TestAnUploadIsOfWhoBeganIt(t *testing.T) {
	t.Parallel()
	r := open(t, registry.Options{FleetOnly: true})
	where := r.begin(t)
	if res := r.ask(t, "admin", "PATCH", where, []byte("theirs")); res.StatusCode != 404 {
		t.Errorf("another: %d", res.StatusCode)
	}
	first := r.send(t, "PATCH", where, strings.NewReader("one "))
	last := r.send(t, "PUT", strings.TrimPrefix(first.Header.Get("Location"), "/v2/")+"&digest="+bundle.DigestOf([]byte("one two")), strings.NewReader("two"))
	if last.StatusCode != http.StatusCreated {
		t.Errorf("%d %s", last.StatusCode, code(t, last))
	}
	if res := r.ask(t, "viewer", "GET", repository+"/blobs/"+bundle.DigestOf([]byte("one two")), nil); res.StatusCode != 200 {
		t.Errorf("pulling it: %d", res.StatusCode)
	}
	r.counts(t, `vigo_registry_bytes_total{direction="in"} 7`, `vigo_registry_bytes_total{direction="out"} 7`, `vigo_registry_requests_total{method="PUT",outcome="ok"} 1`)
}

// TestUploadsAreBounded: who begins many and ends none is sent away, and others are not; what is left alone makes room.
func TestUploadsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := open(t, registry.Options{})
		var first string
		for i := range 16 {
			if where := r.begin(t); i == 0 {
				first = where
			}
		}
		for range 2 {
			res := r.ask(t, "operator", "POST", repository+"/blobs/uploads/", nil)
			if res.StatusCode != 429 || code(t, res) != "TOOMANYREQUESTS" || res.Header.Get("Retry-After") == "" {
				t.Errorf("one too many: %d", res.StatusCode)
			}
		}
		if res := r.ask(t, "admin", "POST", repository+"/blobs/uploads/", nil); res.StatusCode != 202 {
			t.Errorf("another caller: %d", res.StatusCode)
		}
		time.Sleep(6 * time.Minute)
		r.begin(t)
		if res := r.send(t, "PATCH", first, strings.NewReader("late")); res.StatusCode != 404 {
			t.Errorf("one that was left alone: %d", res.StatusCode)
		}
		if left := leftovers(t, r.Dir); len(left) != 1 {
			t.Errorf("left: %q", left)
		}
		r.counts(t, `vigo_registry_refused_total{reason="busy"} 2`, "vigo_registry_uploads 1")
	})
}
