package attack

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/ocistore/registry"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trust"
	"vigo.dev/test/programs"
)

const (
	fleetName = "acme"
	channel   = "stable"
	strict    = "strict" // a channel whose pointers two keys must sign
	held      = "held"   // a channel that is given only what two people have approved
)

// A fleet is a report service, and a registry with a repository for each node, which belongs to its attacker: requests for
// it go through what the attacker wants.
type fleet struct {
	t        *testing.T
	dir      string
	reports  string // data folder
	service  string // https://host:port
	registry *registry.Registry
	address  string // of the registry
	keys     keys

	mu   sync.Mutex
	wire map[string]wire // by repository
}

// wire is what an attacker between a node and the registry does with a request.
type wire func(w http.ResponseWriter, r *http.Request, registry http.Handler)

// keys are those of the fleet. The retired ones were good until yesterday; the second ones sign with the first where two
// must.
type keys struct {
	root                    trust.Root
	owner                   *trust.Signer
	bundle, channel         *trust.Signer
	oldBundle, oldChannel   *trust.Signer
	secondBundle, secondKey *trust.Signer
	ada, ben                *trust.Signer // who approve
}

func newKey(t *testing.T) *trust.Signer {
	t.Helper()
	s, err := trust.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newKeys makes a root document that asks for the signatures of so many on a bundle.
func newKeys(t *testing.T, bundles int) keys {
	k := keys{owner: newKey(t), bundle: newKey(t), channel: newKey(t), oldBundle: newKey(t), oldChannel: newKey(t),
		secondBundle: newKey(t), secondKey: newKey(t), ada: newKey(t), ben: newKey(t)}
	yesterday := time.Now().Add(-24 * time.Hour)
	key := func(s *trust.Signer) trust.Key { return trust.Key{Public: s.Public()} }
	old := func(s *trust.Signer) trust.Key { return trust.Key{Public: s.Public(), NotAfter: yesterday} }
	k.root.Version = 1
	k.root.Grant(trust.RoleRoot, 1, key(k.owner))
	k.root.Grant(trust.RoleBundle, bundles, key(k.bundle), key(k.secondBundle), old(k.oldBundle))
	k.root.Grant(trust.RoleAnyChannel, 1, key(k.channel), old(k.oldChannel))
	k.root.Grant(trust.RoleChannel(strict), 2, key(k.channel), key(k.secondKey))
	k.root.Grant(trust.RoleApproval(held), 2, key(k.ada), key(k.ben))
	return k
}

// newFleet starts the registry and the report service.
func newFleet(t *testing.T, bundles int) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir(), keys: newKeys(t, bundles), wire: map[string]wire{}}
	var err error
	if f.registry, err = registry.New(registry.Options{Dir: filepath.Join(f.dir, "registry"), Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(func() {
		server.Close()
		if err := f.registry.Close(); err != nil {
			t.Error(err)
		}
	})
	f.address = strings.TrimPrefix(server.URL, "http://")
	document, err := f.keys.root.Marshal()
	rootFile := filepath.Join(f.dir, "root.json")
	if err := errors.Join(err, os.WriteFile(rootFile, document, 0o600)); err != nil {
		t.Fatal(err)
	}
	f.reports = filepath.Join(f.dir, "reports")
	reports, line := programs.Serve(t, nil, "https://", "vigo", "report", "--data", f.reports, "--fleet", fleetName, "--registry", f.address+"/nobody/here",
		"--plain-http", "--trust-root", rootFile, "--listen", "127.0.0.1:0", "--interval", "10m")
	t.Cleanup(func() { reports.Stop(t) })
	f.service = strings.Fields(line[strings.Index(line, "https://"):])[0]
	f.newOperators(t)
	return f
}

// serve passes a request on to the registry, through the attacker on the way to its repository.
func (f *fleet) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	var evil wire
	for repository, wire := range f.wire {
		if strings.HasPrefix(r.URL.Path, "/v2/"+repository+"/") {
			evil = wire
		}
	}
	f.mu.Unlock()
	if evil != nil {
		evil(w, r, f.registry)
		return
	}
	f.registry.ServeHTTP(w, r)
}

// operator is the environment of who asks the report service.
func (f *fleet) operator() []string {
	return []string{"VIGO_CONFIG=" + filepath.Join(f.reports, "operator.json")}
}

// operators are as many as ask for so many attacks at once: each may ask only so often in a minute.
const operators = 6

// newOperators makes them, beside the one there is.
func (f *fleet) newOperators(t *testing.T) {
	t.Helper()
	for i := range operators {
		programs.Run(t, f.operator(), "vigo", "operator", "create", fmt.Sprint("o-", i), "--role", "admin", "--out", f.operatorFile(i))
	}
}

func (f *fleet) operatorFile(i int) string {
	return filepath.Join(f.dir, fmt.Sprintf("operator-%d.json", i))
}

// ask runs a command of one of the operators, always the same for a test.
func (f *fleet) ask(t *testing.T, args ...string) (out []byte, err error) {
	t.Helper()
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(t.Name())) // never fails
	env := []string{"VIGO_CONFIG=" + f.operatorFile(int(sum.Sum32()%operators))}
	for late := time.After(2 * programs.Patience); ; {
		out, err = programs.Command(t, env, "vigo", args...).Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || !strings.Contains(string(exit.Stderr), "requests in a minute") {
			return out, err
		}
		select {
		case <-time.After(time.Second):
		case <-late:
			t.Fatalf("vigo %s: %s", strings.Join(args, " "), exit.Stderr)
		}
	}
}

func (f *fleet) vigo(t *testing.T, args ...string) string {
	t.Helper()
	out, err := f.ask(t, args...)
	if err != nil {
		t.Fatalf("vigo %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// status is what `vigo status` shows. With problems it ends with 1, so its own status is not looked at.
func (f *fleet) status(t *testing.T) report.Status {
	t.Helper()
	out, err := f.ask(t, "status", "-o", "json")
	var st report.Status
	if decodeErr := json.Unmarshal(out, &st); decodeErr != nil {
		t.Fatalf("vigo status: %v, %v", err, decodeErr)
	}
	return st
}

// events are those of a kind, newest last.
func (f *fleet) events(t *testing.T, kind string) []report.Event {
	t.Helper()
	var events []report.Event
	if err := json.Unmarshal([]byte(f.vigo(t, "events", "--kind", kind, "--limit", "10000", "-o", "json")), &events); err != nil {
		t.Fatal(err)
	}
	return events
}
