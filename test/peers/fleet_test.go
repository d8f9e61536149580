package peers

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/gitsource/gitsourcetest"
	"vigo.dev/pkg/ocistore/registry"
	"vigo.dev/test/programs"
)

const push = "let-me-push"

// fleet is a controller with its report service, a registry that can stop taking writes, and one node in a folder.
type fleet struct {
	t     *testing.T
	repo  *gitsourcetest.Repo
	dir   string
	node  string // root folder of the node
	mu    sync.Mutex
	takes int           // writes that the registry still takes; -1: all
	wrote chan struct{} // it was asked to
}

// newFleet starts a fleet whose policy has these files, and enrols its node.
func newFleet(t *testing.T, files map[string]string) *fleet {
	t.Helper()
	f := &fleet{t: t, repo: gitsourcetest.New(t), dir: t.TempDir(), node: t.TempDir(), takes: -1, wrote: make(chan struct{}, 1)}
	r, err := registry.New(registry.Options{Dir: filepath.Join(f.dir, "registry"), Token: push, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(f.line(r))
	t.Cleanup(func() {
		server.Close()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	f.repo.Put(files).Commit("the first")
	_, line := programs.Serve(t, []string{"VIGO_REGISTRY_USER=vigo", "VIGO_REGISTRY_PASSWORD=" + push}, "vigo is up", "vigo", "up",
		"--data", filepath.Join(f.dir, "data"), "--git", f.repo.Dir, "--listen", "127.0.0.1:0", "--poll", "50ms",
		"--registry", strings.TrimPrefix(server.URL, "http://")+"/vigo/acme", "--plain-http")
	token := programs.Run(t, f.operator(), "vigo", "token", "create")
	programs.Run(t, nil, "vigo-agent", "enroll", "--server", line[strings.Index(line, "https://"):], "--root", f.node, "--node", "web-1", "--token", token)
	return f
}

func (f *fleet) operator() []string {
	return []string{"VIGO_CONFIG=" + filepath.Join(f.dir, "data/operator.json")}
}

// line is the way to the registry: it ends after so many writes.
func (f *fleet) line(to http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead && !f.take() {
			panic(http.ErrAbortHandler)
		}
		to.ServeHTTP(w, r)
	})
}

func (f *fleet) take() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.takes == 0 {
		select {
		case f.wrote <- struct{}{}:
		default:
		}
		return false
	}
	f.takes = max(f.takes-1, -1)
	return true
}

func (f *fleet) setTakes(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.takes = n
}

// cycle has the agent of the node look, converge and report once.
func (f *fleet) cycle() {
	f.t.Helper()
	cmd := programs.Command(f.t, nil, "vigo-agent", "run", "--once", "--root", f.node)
	if out, err := cmd.CombinedOutput(); err != nil {
		f.t.Fatalf("%v\n%s", err, out)
	}
}

// await cycles until the node has a file with this content.
func (f *fleet) await(name, content string) {
	f.t.Helper()
	for late := time.Now().Add(programs.Patience); ; {
		f.cycle()
		if f.file(name) == content {
			return
		}
		if time.Now().After(late) {
			f.t.Fatalf("%s holds %q, want %q", name, f.file(name), content)
		}
	}
}

func (f *fleet) file(name string) string {
	data, err := os.ReadFile(filepath.Join(f.node, name))
	if err != nil && !os.IsNotExist(err) {
		f.t.Fatal(err)
	}
	return string(data)
}

func policy(when, words string) map[string]string {
	module := func(name string) string {
		return fmt.Sprintf("kind: Module\nresources:\n  - file: /%s\n    content: %q\n", name, words)
	}
	return map[string]string{
		"fleet.yaml":              "kind: Fleet\nname: acme\ninterval: 1h\nchannels: {stable: {}}\nnodes: [{match: \"*\", labels: {role: web}}]\n",
		"roles/all.yaml":          "kind: Role\nwhen: " + when + "\nmodules: [one, two]\n",
		"modules/one/module.yaml": module("one"),
		"modules/two/module.yaml": module("two"),
	}
}

// A host that its inventory forgets never asks again (ansible#17454). Here the policy forgets the node, and takes it back.
func TestBug15ANodeIsOrphanedByItsPolicy(t *testing.T) {
	t.Parallel()
	f := newFleet(t, policy(`role == "web"`, "first"))
	f.await("one", "first")
	second := f.repo.Put(policy(`role == "db"`, "second")).Commit("no role has the node")
	for late := time.Now().Add(programs.Patience); !strings.Contains(programs.Run(t, nil, "vigo-agent", "status", "--root", f.node, "-o", "json"), second); f.cycle() {
		if time.Now().After(late) {
			t.Fatal("the node does not have the policy that forgets it")
		}
	}
	f.repo.Put(policy(`role == "web"`, "third")).Commit("the role has it again")
	f.await("one", "third")
}

// ansible-pull with --only-if-changed does nothing while the policy is the same, whatever happened to the host (ansible#84863).
func TestBug16DriftIsLeftWhileThePolicyIsTheSame(t *testing.T) {
	t.Parallel()
	f := newFleet(t, policy(`role == "web"`, "first"))
	f.await("one", "first")
	for range 3 {
		if err := os.WriteFile(filepath.Join(f.node, "one"), []byte("by hand"), 0o644); err != nil {
			t.Fatal(err)
		}
		f.cycle()
		if got := f.file("one"); got != "first" {
			t.Fatalf("the file holds %q", got)
		}
	}
}

// A publication that fails in the middle leaves some of the new policy in force (fleet#24955). Here the registry stops taking
// writes after each number of them: the node has all of the old, or all of the new.
func TestBug17APublicationIsHalfDone(t *testing.T) {
	t.Parallel()
	f := newFleet(t, policy(`role == "web"`, "version 0"))
	f.await("one", "version 0")
	for writes := range 12 {
		f.setTakes(writes)
		before, words := f.file("one"), fmt.Sprint("version ", writes+1)
		f.repo.Put(policy(`role == "web"`, words)).Commit(words)
		select {
		case <-f.wrote:
		case <-time.After(programs.Patience):
			t.Fatalf("the controller did not want more than %d writes", writes)
		}
		f.cycle()
		if one, two := f.file("one"), f.file("two"); one != two || one != before && one != words {
			t.Fatalf("after %d writes the node has %q and %q", writes, one, two)
		}
		f.setTakes(-1)
		f.await("two", words)
		if f.file("one") != words {
			t.Fatalf("the node has %q and %q", f.file("one"), f.file("two"))
		}
		select { // from before the registry was back
		case <-f.wrote:
		default:
		}
	}
}
