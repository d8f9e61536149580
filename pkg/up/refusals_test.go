package up

import (
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/gitsource/gitsourcetest"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// TestRepositoryTrouble comes up without a usable repository when the fleet has a name, says what is wrong in the status,
// and goes on by itself when it is mended.
func TestRepositoryTrouble(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		begin func(r *gitsourcetest.Repo)
		want  string
	}{
		"empty":              {func(*gitsourcetest.Repo) {}, "no such branch"},
		"without fleet.yaml": {func(r *gitsourcetest.Repo) { r.Put(map[string]string{"README": "hello"}).Commit("first") }, "fleet.yaml"},
		"fleet of another name": {func(r *gitsourcetest.Repo) {
			r.Put(map[string]string{"fleet.yaml": "kind: Fleet\nname: acme\nchannels:\n  stable: {}\nmodus: {}\n"}).Commit("first")
		}, "fleet.yaml:5:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := gitsourcetest.New(t)
			c.begin(repo)
			conf, _ := config(filepath.Join(t.TempDir(), "data"), repo.Dir)
			if _, err := Open(t.Context(), conf); err == nil || !slices.ContainsFunc(fault.Hints(err), func(h string) bool { return strings.Contains(h, "--fleet") }) {
				t.Errorf("without the name of the fleet: %v, hints %q", err, fault.Hints(err))
			}
			conf.Fleet = "acme"
			r := run(t, conf)
			r.await(t, c.want, problem("channel", c.want))
			repo.Put(goodPolicy()).Commit("mended")
			st := r.await(t, "a pointer", published)
			if !st.Healthy() {
				t.Errorf("problems stay: %+v", st.Problems)
			}
		})
	}
}

// TestRewritten shows a branch that was rewritten, and follows it only when it is told to.
func TestRewritten(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.New(t)
	repo.Put(goodPolicy()).Commit("first")
	conf, _ := config(filepath.Join(t.TempDir(), "data"), repo.Dir)
	r := run(t, conf)
	r.await(t, "a pointer", published)
	repo.Put(map[string]string{"modules/motd/module.yaml": "kind: Module\nabout: Words.\nresources:\n  - file: /etc/motd\n    content: other\n"})
	tip := repo.CommitOn("another first")
	r.await(t, "the rewrite in the status", problem("channel", "was rewritten"))
	r.stop()
	conf.AllowRewrite = tip
	r = run(t, conf)
	r.await(t, "the new history", func(st report.Status) bool { return published(st) && st.Channels[0].Commit == tip && st.Healthy() })
}

// TestRefusals are clear, each with what to do.
func TestRefusals(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.New(t)
	repo.Put(goodPolicy()).Commit("first")
	dir := t.TempDir()
	conf, _ := config(filepath.Join(dir, "data"), repo.Dir)
	r := run(t, conf)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"a second process":        {func(*Config) {}, "another process works with this data folder"},
		"a port that is taken":    {func(c *Config) { c.Data, c.Listen = filepath.Join(dir, "b"), r.Addr.String() }, "address already in use"},
		"a folder that is a file": {func(c *Config) { c.Data = file }, "not a directory"},
		"a trust root that is none": {func(c *Config) {
			c.Data, c.Git, c.Fleet, c.Registry, c.TrustRoot = filepath.Join(dir, "c"), "", "acme", "127.0.0.1:1/x", []byte("{}")
		}, "root"},
		"an address that is none": {func(c *Config) { c.Data, c.Listen = filepath.Join(dir, "d"), "nonsense" }, "nonsense"},
	} {
		other, _ := config(conf.Data, conf.Git)
		c.change(&other)
		s, err := Open(t.Context(), other)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			t.Error(s.Close())
		}
	}
	if os.Getuid() != 0 {
		locked := filepath.Join(dir, "locked")
		if err := os.Mkdir(locked, 0o500); err != nil {
			t.Fatal(err)
		}
		other, _ := config(locked, conf.Git)
		if _, err := Open(t.Context(), other); !errors.Is(err, fs.ErrPermission) || len(fault.Hints(err)) == 0 {
			t.Errorf("a folder that cannot be written: %v", err)
		}
	}
	r.stop()
	run(t, conf).stop() // the lock went with the first
}

// TestOutside is what somebody without a credential sees: health, figures, and nothing of the policy.
func TestOutside(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.New(t)
	repo.Put(goodPolicy()).Commit("the secret plan")
	conf, _ := config(filepath.Join(t.TempDir(), "data"), repo.Dir)
	r := run(t, conf)
	r.await(t, "a pointer", published)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.ca.Pool(), ServerName: identity.ServerName}}}
	defer client.CloseIdleConnections()
	get := func(path string, header http.Header) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+r.Local()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(data)
	}
	for path, want := range map[string]int{
		"/healthz": 200, "/readyz": 200, "/metrics": 200, "/controller/healthz": 200, "/controller/metrics": 200, "/registry/metrics": 200, "/v2/": 401,
		"/controller/v1/controller": 404, "/controller/readyz": 404, "/v1/status": 401, "/v1/nodes": 401, "/v1/nonesuch": 404, "/nonesuch": 404,
		"/": 200, "/ui/nodes": 200, "/ui/live": 401, // the page to log in
	} {
		status, body := get(path, nil)
		if status != want || strings.Contains(body, "secret plan") {
			t.Errorf("%s: %d, want %d: %.200s", path, status, want, body)
		}
	}
	if status, _ := get("/healthz", http.Header{"X-Long": {strings.Repeat("x", 2*maxHeader)}}); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("an oversized header: %d", status)
	}
}
