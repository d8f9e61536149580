package up

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/gitsource/gitsourcetest"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/traits"
)

// A log can be read while others write.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func config(data, git string) (Config, *logBuffer) {
	schema, log := expr.NewSchema(), &logBuffer{}
	traits.Schema(schema)
	return Config{
		Data: data, Git: git, Branch: "main", Listen: "127.0.0.1:0", Channel: "stable", Poll: 20 * time.Millisecond, PointerTTL: time.Hour,
		Language: catalog.Language{Kinds: resources.Registry(), Schema: schema}, Now: time.Now,
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, log
}

// running is a stack that runs, and how to ask it.
type running struct {
	*Stack
	client *api.OperatorClient
	token  string
	stop   func()
}

func run(t *testing.T, c Config) *running {
	t.Helper()
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Stack: s}
	if r.token, err = s.Credential(t.Context(), api.Operator{Name: "admin", Role: identity.RoleAdmin}, ""); err != nil {
		t.Fatal(err)
	}
	if r.client, err = api.NewOperatorClient("https://"+s.Local(), r.token, time.Now); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		r.client.Close()
		cancel()
		if err := errors.Join(<-done, s.Close()); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// await asks for the status until it is as wanted.
func (r *running) await(t *testing.T, what string, wanted func(report.Status) bool) report.Status {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		st, err := r.client.Status(t.Context(), 100)
		if err == nil && wanted(st) {
			return st
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s: %+v, %v", what, st, err)
		}
		time.Sleep(20 * time.Millisecond) // the status is asked for; nobody is told of it
	}
}

func published(st report.Status) bool {
	return slices.ContainsFunc(st.Channels, func(c report.Channel) bool { return c.Pointer != "" && c.Error == "" })
}

func problem(kind, text string) func(report.Status) bool {
	return func(st report.Status) bool {
		return slices.ContainsFunc(st.Problems, func(p report.Problem) bool { return p.Kind == kind && strings.Contains(p.Text, text) })
	}
}

func goodPolicy() map[string]string {
	return map[string]string{
		"fleet.yaml":               "kind: Fleet\nname: acme\ninterval: 7s\nchannels:\n  stable: {}\n",
		"roles/all.yaml":           "kind: Role\nabout: All.\nmodules: [motd]\n",
		"modules/motd/module.yaml": "kind: Module\nabout: Words.\nresources:\n  - file: /etc/motd\n    content: hello\n",
	}
}

// TestRestart is the same fleet with the same authority, keys, tokens and nodes, also without the repository.
func TestRestart(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.New(t)
	repo.Put(goodPolicy()).Commit("first")
	c, log := config(filepath.Join(t.TempDir(), "data"), repo.Dir)
	first := run(t, c)
	st := first.await(t, "a pointer", published)
	enrolled := join(t, first, "web-1")
	if st.Fleet != "acme" || enrolled.Fleet != "acme" || enrolled.Interval != 7*time.Second {
		t.Errorf("the fleet is %q, the node was told %q and %s", st.Fleet, enrolled.Fleet, enrolled.Interval)
	}
	pin := first.ca.Fingerprint()
	first.stop()

	c.Git = filepath.Join(t.TempDir(), "gone")
	again := run(t, c)
	st = again.await(t, "the repository missed", problem("channel", ""))
	if again.ca.Fingerprint() != pin || st.Fleet != "acme" || st.Presences.Never != 1 || st.Channels[0].Pointer == "" {
		t.Errorf("after a restart: %+v", st)
	}
	if n := join(t, again, "web-2"); !bytes.Equal(n.TrustRoot, enrolled.TrustRoot) {
		t.Error("the second node is told another trust root than the first")
	}
	if old, err := again.Credential(t.Context(), api.Operator{Name: "admin", Role: identity.RoleAdmin}, again.token); err != nil || old != again.token {
		t.Errorf("a token that works was replaced: %v", err)
	}
	if other, err := again.Credential(t.Context(), api.Operator{Name: "admin", Role: identity.RoleAdmin}, first.token); err != nil || other == first.token {
		t.Errorf("a token that no longer works was kept: %v", err)
	}
	again.stop()
	for _, secret := range []string{first.token, again.token} {
		if strings.Contains(log.String(), strings.Split(secret, ".")[1]) {
			t.Error("a token is in the log")
		}
	}
	modes(t, c.Data)
}

// join enrols a node.
func join(t *testing.T, r *running, name string) api.EnrollAnswer {
	t.Helper()
	answer, _ := enrolled(t, r, name)
	return answer
}

func enrolled(t *testing.T, r *running, name string) (api.EnrollAnswer, identity.NodeKey) {
	t.Helper()
	token, err := r.client.CreateToken(t.Context(), api.TokenRequest{Uses: 1})
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := api.Enrolling{URL: "https://" + r.Local(), Token: token.Token, Node: name, Agent: "test", Key: key, Now: time.Now}.Enroll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return answer, key
}

// modes wants the folder to be its owner's alone.
func modes(t *testing.T, data string) {
	t.Helper()
	info, err := os.Stat(data)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data folder has mode %v: %v", info.Mode(), err)
	}
	err = filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		name := d.Name()
		if secret := strings.HasSuffix(name, ".key") || strings.HasPrefix(name, "report.db") || name == lockName; secret && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
