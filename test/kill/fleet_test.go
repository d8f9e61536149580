package kill

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // to look at the file of the report service as a stranger would

	"vigo.dev/pkg/gitsource/gitsourcetest"
	"vigo.dev/test/loopback"
)

// fleet is a policy repository, a `vigo up` that can be started again and again at one address, and a node.
type fleet struct {
	t       *testing.T
	repo    *gitsourcetest.Repo
	data    string
	listen  string
	reach   string // address that nodes are told; listen if empty
	root    string // the node's host
	state   string
	current *process
}

const files = 8

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t, repo: gitsourcetest.New(t), data: filepath.Join(t.TempDir(), "data"), listen: loopback.Any(), root: t.TempDir()}
	f.state = filepath.Join(f.root, "var/lib/vigo-agent")
	f.repo.Put(map[string]string{
		"fleet.yaml":     "kind: Fleet\nname: lab\ninterval: 1s\nchannels:\n  stable: {nodes: role == \"web\"}\nlabels: [role]\n",
		"roles/web.yaml": "kind: Role\nwhen: role == \"web\"\nmodules:\n  - site\n",
	})
	f.commit(0)
	return f
}

// content is what file n holds in a version of the policy: large enough that writing it takes a while.
func content(version, n int) string {
	return strings.Repeat(fmt.Sprintf("version %d of file %d\n", version, n), 4000)
}

func (f *fleet) path(n int) string { return filepath.Join(f.root, "etc/site", fmt.Sprint("file", n)) }

// commit makes a new version of the policy.
func (f *fleet) commit(version int) {
	f.t.Helper()
	var module strings.Builder
	module.WriteString("kind: Module\nabout: Some files.\nresources:\n  - directory: /etc/site\n")
	put := map[string]string{}
	for n := range files {
		fmt.Fprintf(&module, "  - file: /etc/site/file%d\n    source: file%d\n    mode: \"0644\"\n", n, n)
		put[fmt.Sprint("modules/site/files/file", n)] = content(version, n)
	}
	put["modules/site/module.yaml"] = module.String()
	f.repo.Put(put).Commit(fmt.Sprint("version ", version))
}

// up starts `vigo up`; nothing is waited for.
func (f *fleet) up() *process {
	f.t.Helper()
	args := []string{"up", "--data", f.data, "--git", f.repo.Dir, "--listen", f.listen, "--poll", "50ms", "--pointer-ttl", "1m", "--interval", "1s", "--fleet", "lab"}
	if f.reach != "" {
		args = append(args, "--advertise", f.reach)
	}
	f.current = start(f.t, nil, "vigo", args...)
	return f.current
}

// ready waits until a stack says where it listens.
func (f *fleet) ready(p *process) {
	f.t.Helper()
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		_, _ = p.wait(f.t)
		f.t.Fatalf("vigo up did not come up: %v\n%s", err, p.stderr)
	}
	_, address, ok := strings.Cut(strings.TrimSpace(line), "on https://")
	if !ok {
		f.t.Fatalf("vigo up says %q", line)
	}
	if f.reach == "" {
		f.listen = address
	}
}

// server is where the service really listens, as its operator knows.
func (f *fleet) server() string {
	f.t.Helper()
	var c struct{ Server string }
	data, err := os.ReadFile(filepath.Join(f.data, "operator.json"))
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.TrimPrefix(c.Server, "https://")
}

func (f *fleet) env() []string {
	return []string{"VIGO_CONFIG=" + filepath.Join(f.data, "operator.json")}
}

// enrol makes the node a member.
func (f *fleet) enrol(server string) {
	f.t.Helper()
	if err := os.MkdirAll(filepath.Join(f.root, "etc"), 0o755); err != nil {
		f.t.Fatal(err)
	}
	token := strings.TrimSpace(run(f.t, f.env(), "vigo", "token", "create", "--label", "role=web"))
	run(f.t, nil, "vigo-agent", "--root", f.root, "enroll", "--server", "https://"+server, "--token", token, "--node", "web-1")
}

// status is the part of `vigo status` that is looked at.
type status struct {
	Channels []struct {
		Commit, Error string
	}
	Problems []struct{ Kind, Text string }
}

func (f *fleet) status() (status, error) {
	p := start(f.t, f.env(), "vigo", "status", "-o", "json")
	out, err := p.wait(f.t)
	var s status
	if decodeErr := json.Unmarshal([]byte(out), &s); decodeErr != nil {
		return s, fmt.Errorf("%w: %w: %s%s", err, decodeErr, out, p.stderr)
	}
	return s, nil
}

// reported opens the file of the report service, as a start after a crash would, checks it and returns the IDs of the
// runs in it.
func (f *fleet) reported() map[string]bool {
	f.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(f.data, "report.db"))
	if err != nil {
		f.t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		f.t.Fatalf("integrity of the report service's file: %q, %v", verdict, err)
	}
	rows, err := db.Query("SELECT id FROM run WHERE node = 'web-1'")
	if err != nil {
		f.t.Fatal(err)
	}
	defer rows.Close()
	ids := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			f.t.Fatal(err)
		}
		if ids[id] {
			f.t.Errorf("run %s is there twice", id)
		}
		ids[id] = true
	}
	if err := rows.Err(); err != nil {
		f.t.Fatal(err)
	}
	return ids
}

// leftovers are the temporary files below a folder.
func leftovers(t *testing.T, dir string) []string {
	t.Helper()
	var left []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		name := e.Name()
		if err == nil && strings.HasPrefix(name, ".") && strings.Contains(name, "tmp") {
			left = append(left, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return left
}
