package separate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/gitsource/gitsourcetest"
	"vigo.dev/pkg/ocistore/registry"
	"vigo.dev/pkg/report"
	"vigo.dev/test/programs"
	"vigo.dev/test/self"
)

// TestSeparateProcesses is docs/separate-processes.md, step by step, with the embedded registry standing alone.
func TestSeparateProcesses(t *testing.T) {
	t.Parallel()
	r, err := registry.New(registry.Options{Dir: t.TempDir(), Token: "push", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r)
	t.Cleanup(func() {
		server.Close()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	journey(t, strings.TrimPrefix(server.URL, "http://"))
}

// TestSeparateProcessesDebianRegistry is the same with Debian's docker-registry, where that is installed.
func TestSeparateProcessesDebianRegistry(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("docker-registry is not installed")
	}
	dir := t.TempDir()
	conf := fmt.Sprintf("version: 0.1\nlog: {level: info, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: 127.0.0.1:0}\n", filepath.Join(dir, "data"))
	if err := os.WriteFile(filepath.Join(dir, "config.yml"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	p := programs.Start(t, exec.Command(path, "serve", filepath.Join(dir, "config.yml")))
	address, _, _ := strings.Cut(p.Says(t, "listening on ", programs.Patience), `"`)
	journey(t, address)
}

// A site is a controller and a report service with a data folder each, and a host.
type site struct {
	registry, controller, reports, host string
	repo                                *gitsourcetest.Repo
}

func policy(motd string) map[string]string {
	return map[string]string{
		"fleet.yaml":               "kind: Fleet\nname: acme\ninterval: 1s\nlabels: [role]\nchannels:\n  stable: {}\n",
		"roles/all.yaml":           "kind: Role\nabout: All.\nmodules: [motd]\n",
		"modules/motd/module.yaml": "kind: Module\nabout: Words.\nresources:\n  - file: /etc/motd\n    content: " + motd + "\n",
	}
}

func journey(t *testing.T, registryAddress string) {
	dir := t.TempDir()
	s := site{registry: registryAddress + "/vigo/acme", controller: filepath.Join(dir, "controller"), reports: filepath.Join(dir, "reports"),
		host: filepath.Join(dir, "host"), repo: gitsourcetest.New(t)}
	s.repo.Put(policy("one")).Commit("first")
	if err := os.MkdirAll(filepath.Join(s.host, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}

	root := run(t, self.Command(t, "vigo", "trust", "init", "--data", s.controller))
	reports := programs.Start(t, s.report(t, root, "127.0.0.1:0"))
	address := reports.Says(t, "acme on https://", programs.Patience)
	controller := programs.Start(t, s.control(t))
	programs.Await(t, "the first pointer", programs.Patience, func() bool { return s.channel(t).Pointer != "" })
	s.separate(t)

	token := run(t, s.vigo(t, "token", "create", "--label", "role=web"))
	run(t, s.agent(t, "enroll", "--server", "https://"+address, "--token", token, "--node", "web-1"))
	agent := programs.Start(t, s.agent(t, "run"))
	programs.Await(t, "the first words on the host", programs.Patience, func() bool { return s.motd() == "one" })
	programs.Await(t, "the node on the bundle of its channel", programs.Patience, func() bool {
		st := s.status(t)
		return st.Presences.Live == 1 && s.channel(t).Cur == 1 && st.Healthy()
	})
	if n := s.nodes(t); n[0].Interval != time.Second || n[0].Labels["role"] != "web" {
		t.Errorf("the interval of the policy is 1s, the node was told %s; its labels are %v", n[0].Interval, n[0].Labels)
	}

	// A commit that does not compile changes nothing, and is seen where people look, until it is mended.
	good := s.channel(t)
	s.repo.Put(map[string]string{"modules/motd/module.yaml": "kind: Module\nabout: Words.\nresources:\n  - fiel: /etc/motd\n"}).Commit("typing in the dark")
	programs.Await(t, "the mistake in the status", programs.Patience, func() bool {
		return slices.ContainsFunc(s.status(t).Problems, func(p report.Problem) bool {
			return p.Kind == "channel" && strings.Contains(p.Text, "modules/motd/module.yaml:4:5")
		})
	})
	if now := s.channel(t); now.Digest != good.Digest || now.Pointer != good.Pointer {
		t.Errorf("a commit that does not compile was published: %+v", now)
	}
	s.repo.Put(policy("two")).Commit("mended")
	programs.Await(t, "the second words", programs.Patience, func() bool { return s.motd() == "two" })
	programs.Await(t, "no problems", programs.Patience, func() bool { return s.status(t).Healthy() })

	// The report service comes back after a kill at the same address, with what it knew; the agent delivers what it has.
	reports.End(syscall.SIGKILL)
	s.repo.Put(policy("three")).Commit("while nobody listens")
	programs.Await(t, "the third words, without a report service", programs.Patience, func() bool { return s.motd() == "three" })
	programs.Start(t, s.report(t, root, address))
	programs.Await(t, "the node and the controller heard of again", programs.Patience, func() bool {
		c := s.channel(t)
		return c.Cur == 1 && c.Pointer != good.Pointer && s.status(t).Presences.Live == 1
	})

	// The controller goes on from its own state after a kill, and its keys are the ones nodes trust.
	controller.End(syscall.SIGKILL)
	s.repo.Put(policy("four")).Commit("while nobody compiles")
	programs.Start(t, s.control(t))
	programs.Await(t, "the fourth words", programs.Patience, func() bool { return s.motd() == "four" })
	programs.Await(t, "all well at the end", programs.Patience, func() bool { st := s.status(t); return st.Healthy() && s.channel(t).Cur == 1 })
	agent.End(syscall.SIGTERM)

	// Whoever is retired is refused from then on.
	run(t, s.vigo(t, "node", "retire", "web-1"))
	token = run(t, s.vigo(t, "token", "create"))
	if _, stderr, err := try(s.agent(t, "run", "--once")); !strings.Contains(stderr, "retired") {
		t.Errorf("a retired node is not told so: %v\n%s", err, stderr)
	}
	if out, stderr, err := try(s.vigo(t, "node", "web-1", "-o", "json")); err != nil || !strings.Contains(out, `"retired"`) {
		t.Errorf("the retired node is not shown as such: %s%s", out, stderr)
	}
	run(t, s.agent(t, "enroll", "--force", "--server", "https://"+address, "--token", token, "--node", "web-1"))
	run(t, s.agent(t, "run", "--once"))
	programs.Await(t, "the same name with a new key", programs.Patience, func() bool { return s.status(t).Presences.Live == 1 })
}

func (s site) report(t *testing.T, root, listen string) *exec.Cmd {
	return self.Command(t, "vigo", "report", "--data", s.reports, "--fleet", "acme", "--registry", s.registry, "--plain-http", "--trust-root", root, "--listen", listen)
}

func (s site) control(t *testing.T) *exec.Cmd {
	cmd := self.Command(t, "vigo", "controller", "--data", s.controller, "--git", s.repo.Dir, "--registry", s.registry, "--plain-http",
		"--report", filepath.Join(s.reports, "controller.json"), "--listen", "127.0.0.1:0", "--poll", "200ms")
	cmd.Env = append(cmd.Env, "VIGO_REGISTRY_USER=controller", "VIGO_REGISTRY_PASSWORD=push")
	return cmd
}

func (s site) vigo(t *testing.T, args ...string) *exec.Cmd {
	cmd := self.Command(t, "vigo", args...)
	cmd.Env = append(cmd.Env, "VIGO_CONFIG="+filepath.Join(s.reports, "operator.json"))
	return cmd
}

func (s site) agent(t *testing.T, args ...string) *exec.Cmd {
	return self.Command(t, "vigo-agent", append([]string{"--root", s.host}, args...)...)
}

func (s site) motd() string {
	data, err := os.ReadFile(filepath.Join(s.host, "etc/motd"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// status is what `vigo status` shows, asked without a process each time; the zero status when the service is away.
func (s site) status(t *testing.T) report.Status {
	t.Helper()
	var conf struct{ Server, Token string }
	if err := json.Unmarshal([]byte(read(t, s.reports, "operator.json")), &conf); err != nil {
		t.Fatal(err)
	}
	client, err := api.NewOperatorClient(conf.Server, conf.Token, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	st, err := client.Status(t.Context(), 100)
	if err != nil && !errors.Is(err, api.ErrUnreachable) {
		t.Fatal(err)
	}
	return st
}

func (s site) nodes(t *testing.T) []report.NodeStatus {
	t.Helper()
	var list []report.NodeStatus
	if err := json.Unmarshal([]byte(run(t, s.vigo(t, "nodes", "-o", "json"))), &list); err != nil || len(list) == 0 {
		t.Fatalf("vigo nodes: %d, %v", len(list), err)
	}
	return list
}

func (s site) channel(t *testing.T) report.Channel {
	t.Helper()
	for _, c := range s.status(t).Channels {
		if c.Channel == "stable" {
			return c
		}
	}
	return report.Channel{}
}

// separate checks that the report service has no signing key, the controller no authority, and that what is secret is for
// its owner alone.
func (s site) separate(t *testing.T) {
	t.Helper()
	for _, dir := range []string{s.reports, s.controller} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			rel, _ := filepath.Rel(dir, path)
			switch name := d.Name(); {
			case dir == s.reports && strings.HasSuffix(name, ".key") && rel != "ca/ca.key", dir == s.controller && name == "ca.key":
				t.Errorf("%s holds %s", dir, rel)
			case d.IsDir() && !strings.HasPrefix(rel, "git/repo.git") && info.Mode().Perm() != 0o700:
				t.Errorf("folder %s has mode %04o", rel, info.Mode().Perm())
			case slices.Contains([]string{"operator.json", "controller.json", "report.db", "ca.key", "bundle.key", "channel.key", "root.key", "lock"}, name) && info.Mode().Perm() != 0o600:
				t.Errorf("%s has mode %04o", rel, info.Mode().Perm())
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}
