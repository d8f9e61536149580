package up

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/gitsource/gitsourcetest"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// member is a node that enrolled, and its connection to the registry.
type member struct {
	name   string
	client *http.Client
}

func enrol(t *testing.T, r *running, name string) member {
	t.Helper()
	answer, key := enrolled(t, r, name)
	cert, err := key.Certificate([]byte(answer.Certificate))
	if err != nil {
		t.Fatal(err)
	}
	return member{name, client(t, r, &cert)}
}

func client(t *testing.T, r *running, cert *tls.Certificate) *http.Client {
	t.Helper()
	conf := &tls.Config{RootCAs: r.ca.Pool(), ServerName: identity.ServerName}
	if cert != nil {
		conf.Certificates = []tls.Certificate{*cert}
	}
	tr := &http.Transport{TLSClientConfig: conf}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// pulls asks for the pointer of a channel, and returns the status and what came.
func pulls(t *testing.T, r *running, c *http.Client, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+r.Local()+"/v2/"+Repository+"/manifests/channel-stable", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.SetBasicAuth("anybody", token)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(data)
}

// TestTheRegistryIsForTheFleet: nodes by their certificates, until they are retired; operators by their tokens, until they are
// removed; nobody else. A service that has forgotten its nodes goes on to give them their policy.
func TestTheRegistryIsForTheFleet(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.New(t)
	repo.Put(goodPolicy()).Commit("first")
	c, _ := config(filepath.Join(t.TempDir(), "data"), repo.Dir)
	r := run(t, c)
	r.await(t, "a pointer", published)
	web, db, nobody := enrol(t, r, "web-1"), enrol(t, r, "db-1"), client(t, r, nil)
	jane, err := r.client.AddOperator(t.Context(), api.Operator{Name: "jane", Role: identity.RoleViewer})
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string, c *http.Client, token string, want int) {
		t.Helper()
		if got, text := pulls(t, r, c, token); got != want {
			t.Errorf("%s: %d, want %d: %.300s", when, got, want, text)
		}
	}
	check("a node", web.client, "", 200)
	check("nobody", nobody, "", 401)
	check("a viewer", nobody, jane, 200)
	if err := r.client.Retire(t.Context(), "web-1"); err != nil {
		t.Fatal(err)
	}
	check("a retired node, on an open connection", web.client, "", 401)
	check("another node", db.client, "", 200)
	if err := r.client.RemoveOperator(t.Context(), "jane"); err != nil {
		t.Fatal(err)
	}
	check("an operator who left", nobody, jane, 401)
	for range 240 {
		pulls(t, r, nobody, "guess")
	}
	check("who guesses", nobody, "guess", 429)
	check("an operator at the same address", nobody, r.token, 200)

	r.stop()
	for _, path := range []string{"report.db", "report.db-wal", "report.db-shm"} {
		if err := os.Remove(filepath.Join(c.Data, path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	r = run(t, c)
	check("a node that the service has forgotten", db.client, "", 200)
}

// TestAFullRegistry: a commit for which there is no room is a problem of its channel that says what to do, while the pointer
// of what runs is renewed.
func TestAFullRegistry(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.New(t)
	repo.Put(goodPolicy()).Commit("first")
	c, _ := config(filepath.Join(t.TempDir(), "data"), repo.Dir)
	var ahead atomic.Int64
	c.Embedded.Quota, c.Now = 1<<20, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	r := run(t, c)
	first := r.await(t, "a pointer", published)
	noise := make([]byte, 1<<20) // nothing makes it smaller
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	files := goodPolicy()
	files["modules/motd/files/noise"] = hex.EncodeToString(noise)
	files["modules/motd/module.yaml"] = strings.Replace(files["modules/motd/module.yaml"], "content: hello", "source: noise", 1)
	repo.Put(files).Commit("too much")
	full := r.await(t, "the problem", problem("channel", "the registry is full"))
	beat := full.Channels[0].Pointer
	ahead.Store(int64(c.PointerTTL / 3))
	later := r.await(t, "a renewed pointer", func(st report.Status) bool {
		return len(st.Channels) == 1 && st.Channels[0].Pointer != beat
	})
	if got := later.Channels[0]; got.Digest != first.Channels[0].Digest || !strings.Contains(got.Error, "--registry-quota") {
		t.Errorf("the channel is %+v", got)
	}
}
