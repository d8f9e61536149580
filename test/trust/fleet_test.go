package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/gitsource/gitsourcetest"
	"vigo.dev/pkg/ocistore/registry"
	"vigo.dev/pkg/trust"
	"vigo.dev/test/programs"
)

const (
	repository = "vigo/acme"
	channel    = "stable"
	push       = "let-me-push" // the password for the registry, which the thief has as well
	nodes      = 6
	away       = 2 // the last of them are cut off when the test says so
)

// A fleet is a registry, a controller with its report service, nodes, and three owners of the root of whom two must agree.
type fleet struct {
	t        *testing.T
	repo     *gitsourcetest.Repo
	store    bundle.Store // the registry from within
	registry string       // its address
	cut      atomic.Bool  // nobody reaches the registry
	moved    chan struct{}
	dir      string // all that is on disk
	bundle   string // key files of the controller
	channel  string
	up       *programs.Process
	service  string          // URL of the report service
	version  int64           // of the root in force
	stolen   int64           // pointers that thieves have made
	seen     [nodes][]string // what each node had in its file after each run
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t, repo: gitsourcetest.New(t), dir: t.TempDir(), version: 1, moved: make(chan struct{}, 1)}
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
	f.registry = strings.TrimPrefix(server.URL, "http://")
	if f.store, err = r.Store(t.Context(), repository); err != nil {
		t.Fatal(err)
	}
	init := []string{"trust", "init", "--data", f.path("data"), "--root-threshold", "2"}
	for _, owner := range []string{"ada", "ben", "cleo"} {
		init = append(init, "--root-key", f.key(owner)+".pub")
	}
	programs.Run(t, nil, "vigo", init...)
	f.bundle, f.channel = f.path("data/keys/bundle.key"), f.path("data/keys/channel.key")
	return f
}

func (f *fleet) path(name string) string { return filepath.Join(f.dir, name) }

// key makes a pair of keys NAME.key and NAME.pub, and returns the path without its ending.
func (f *fleet) key(name string) string {
	f.t.Helper()
	signer, err := trust.NewKey()
	if err != nil {
		f.t.Fatal(err)
	}
	private, err := signer.PEM()
	err = errors.Join(err, os.WriteFile(f.path(name+".key"), private, 0o600), os.WriteFile(f.path(name+".pub"), signer.Public().PEM(), 0o600))
	if err != nil {
		f.t.Fatal(err)
	}
	return f.path(name)
}

// line is the way to the registry. It says when a tag was moved.
func (f *fleet) line(to http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.cut.Load() {
			panic(http.ErrAbortHandler)
		}
		to.ServeHTTP(w, r)
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			select {
			case f.moved <- struct{}{}:
			default:
			}
		}
	})
}

// commit commits a policy that writes words into a file, and returns the commit.
func (f *fleet) commit(words string) string {
	f.t.Helper()
	return f.repo.Put(policy(words)).Commit(words)
}

func policy(words string) map[string]string {
	return map[string]string{
		"fleet.yaml":               "kind: Fleet\nname: acme\ninterval: 1h\nchannels: {" + channel + ": {}}\n",
		"roles/all.yaml":           "kind: Role\nmodules: [motd]\n",
		"modules/motd/module.yaml": "kind: Module\nresources:\n  - file: /motd\n    content: " + words + "\n",
	}
}

func registryUser() []string {
	return []string{"VIGO_REGISTRY_USER=vigo", "VIGO_REGISTRY_PASSWORD=" + push}
}

// start starts the controller with its keys and waits until the newest commit is what its channel shows.
func (f *fleet) start(commit string) {
	f.t.Helper()
	f.run()
	f.await(commit)
}

// run starts the controller with its keys.
func (f *fleet) run() {
	f.t.Helper()
	up, line := programs.Serve(f.t, registryUser(), "vigo is up", "vigo", "up", "--data", f.path("data"), "--git", f.repo.Dir, "--listen", "127.0.0.1:0", "--poll", "100ms",
		"--registry", f.registry+"/"+repository, "--plain-http", "--bundle-key", f.bundle, "--channel-key", "file:"+f.channel)
	f.up, f.service = up, line[strings.Index(line, "https://"):]
}

func (f *fleet) await(commit string) {
	f.t.Helper()
	late := time.After(programs.Patience)
	for {
		if p, err := f.pointer(); err == nil && p.Stable.Commit == commit && p.Epoch == f.version {
			return
		} else if err != nil && !errors.Is(err, bundle.ErrNotFound) && !errors.As(err, new(*trust.Refusal)) {
			f.t.Fatal(err)
		}
		select {
		case <-f.moved:
		case <-late:
			f.t.Fatalf("commit %s was not published in time under root %d", commit, f.version)
		}
	}
}

// pointer is what the registry shows to who trusts the root in force.
func (f *fleet) pointer() (bundle.Pointer, error) {
	p, _, err := trust.NewVerifier(f.root(), time.Now).Pointer(f.t.Context(), f.store, "acme", channel)
	return p, err
}

// root is the root document in force.
func (f *fleet) root() trust.Root {
	f.t.Helper()
	data, err := os.ReadFile(f.path("data/keys/root.json"))
	if err != nil {
		f.t.Fatal(err)
	}
	root, err := trust.ParseRoot(data)
	if err != nil {
		f.t.Fatal(err)
	}
	return root
}

// current is the bundle that the channel names.
func (f *fleet) current() bundle.Target {
	f.t.Helper()
	p, err := f.pointer()
	if err != nil {
		f.t.Fatal(err)
	}
	return p.Stable
}

// enrol makes all nodes members of the fleet.
func (f *fleet) enrol() {
	f.t.Helper()
	env := []string{"VIGO_CONFIG=" + f.path("data/operator.json")}
	for n := range nodes {
		if err := os.MkdirAll(f.node(n), 0o755); err != nil {
			f.t.Fatal(err)
		}
		token := programs.Run(f.t, env, "vigo", "token", "create")
		programs.Run(f.t, nil, "vigo-agent", "enroll", "--server", f.service, "--root", f.node(n), "--node", fmt.Sprint("n", n), "--token", token)
	}
}

func (f *fleet) node(n int) string { return f.path(fmt.Sprint("node", n)) }

// cycle runs the agents of some nodes once. Before, somebody has changed their file by hand: an agent that enforces puts it
// right. What it cannot do is in what the nodes have afterwards, so its status is not looked at.
func (f *fleet) cycle(from, to int) {
	f.t.Helper()
	var group sync.WaitGroup
	for n := from; n < to; n++ {
		file := filepath.Join(f.node(n), "motd")
		if err := os.WriteFile(file, []byte(byHand), 0o644); err != nil {
			f.t.Fatal(err)
		}
		cmd := programs.Command(f.t, nil, "vigo-agent", "run", "--once", "--root", f.node(n))
		group.Go(func() {
			out, err := cmd.CombinedOutput()
			if err != nil {
				f.t.Logf("node %d: %v: %s", n, err, out)
			}
		})
	}
	group.Wait()
	for n := from; n < to; n++ {
		data, err := os.ReadFile(filepath.Join(f.node(n), "motd"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.t.Fatal(err)
		}
		f.seen[n] = append(f.seen[n], string(data))
	}
}

// byHand is what somebody wrote into the file of a node.
const byHand = "by hand"

// connected and cutOff run the agents of the nodes that are in reach of the registry, and of those that are not.
func (f *fleet) connected() { f.t.Helper(); f.cycle(0, nodes-away) }

func (f *fleet) cutOff() {
	f.t.Helper()
	f.cut.Store(true)
	defer f.cut.Store(false)
	f.cycle(nodes-away, nodes)
}

// want fails unless the newest that some nodes had in their file is one of words.
func (f *fleet) want(from, to int, words ...string) {
	f.t.Helper()
	for n := from; n < to; n++ {
		if got := f.seen[n][len(f.seen[n])-1]; !slices.Contains(words, got) {
			f.t.Errorf("node %d has %q, want one of %q; before %q", n, got, words, f.seen[n])
		}
	}
}
