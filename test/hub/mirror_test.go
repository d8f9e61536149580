package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"vigo.dev/pkg/report"
	"vigo.dev/test/self"
)

// The addresses of a site that stands behind a stock mirror: the mirror is the router between centre and site as well.
const (
	centreAddress = "10.88.1.1"
	uplinkAddress = "10.88.1.2"
	mirrorAddress = "10.88.2.1"
	siteAddress   = "10.88.2.2"
)

// pullThrough is docker-registry as a cache in front of the registry of the centre, as in registry/distribution/mirror.yml.
const pullThrough = `version: 0.1
log: {level: info, accesslog: {disabled: true}, formatter: text}
storage:
  filesystem: {rootdirectory: %s}
proxy: {remoteurl: "https://%s"}
http: {addr: "%s:5000"}
`

// needs skips the test where it cannot run; the gate has all it needs.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making network namespaces needs root")
	}
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed; the gate installs it", name)
		}
	}
}

// link runs the program ip in a place, with a line of arguments.
func (at *place) link(t *testing.T, args string) {
	t.Helper()
	at.ip(t, strings.Fields(args)...)
}

// join connects two places by a cable, with an address at each end.
func (at *place) join(t *testing.T, name, address string, other *place, otherName, otherAddress string) {
	t.Helper()
	peer := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), other.netns.Fd())
	at.link(t, fmt.Sprintf("link add name %s type veth peer name %s netns %s", name, otherName, peer))
	at.link(t, fmt.Sprintf("address add %s/24 dev %s", address, name))
	other.link(t, fmt.Sprintf("address add %s/24 dev %s", otherAddress, otherName))
	at.link(t, "link set "+name+" up")
	other.link(t, "link set "+otherName+" up")
}

// TestASiteBehindAStockMirror is a site of five nodes whose mirror knows nothing of Vigo: Debian's docker-registry as a
// pull-through cache. Agents are told of it when they enrol, and need nothing else.
func TestASiteBehindAStockMirror(t *testing.T) {
	t.Parallel()
	needs(t, "docker-registry", "ip")
	centre, router, site := newPlace(t), newPlace(t), newPlace(t)
	centre.join(t, "site", centreAddress, router, "uplink", uplinkAddress)
	router.join(t, "lan", mirrorAddress, site, "lan", siteAddress)
	site.link(t, "route add default via "+mirrorAddress)
	centre.link(t, "route add 10.88.2.0/24 via "+uplinkAddress)
	if err := router.do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644) }); err != nil {
		t.Fatal(err)
	}
	f := newFleet(t, centre, centreAddress, "--registry-pull", "anyone") // docker-registry 2.8 shows no password to where it mirrors from
	upstream := router.newCable(t, f.address)                            // of the mirror alone
	config, cache := f.path("mirror.yml"), f.path("mirror")
	if err := os.WriteFile(config, fmt.Appendf(nil, pullThrough, cache, upstream.address, mirrorAddress), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("docker-registry", "serve", config)
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+f.path("centre", "ca", "ca.crt"))
	mirror := router.start(t, cmd)
	mirror.Says(t, "listening on ", patience)
	for i := range 5 {
		f.joinThrough(site, fmt.Sprint("web-", i), "http://"+mirrorAddress+":5000/vigo/bundles")
	}
	f.converged(f.nodes...)
	f.status("all well at first", f.well)
	if n := blobs(t, cache); n < 5 {
		t.Errorf("the mirror holds %d blobs: the agents went by it", n)
	}

	// The uplink is cut, and policy goes on.
	centre.link(t, "link set site down")
	f.commit()
	f.commit()
	for _, n := range f.nodes {
		n.spoil(t)
		if n.motd() != "version 1" {
			t.Errorf("%s got %q through a cable that is cut", n.name, n.motd())
		}
	}
	centre.link(t, "link set site up")
	centre.link(t, "route add 10.88.2.0/24 via "+uplinkAddress)
	f.converged(f.nodes...)
	f.status("all well again", f.well)

	// The mirror alone is cut off: it goes on to show the pointer it knows. That takes nobody back, and it is told. On a busy
	// machine it may be passed over once for being late: who has the new pointer from the centre refuses the old one.
	upstream.set(true)
	f.commit()
	f.status("nodes that a mirror keeps behind", func(st report.Status) error {
		if n := told(st, "behind", "frozen", "refused"); n != len(f.nodes) {
			return fmt.Errorf("%d nodes are told of: %+v", n, st.Problems)
		}
		return nil
	})

	// A mirror that does not answer any more is passed over.
	signal := func(s syscall.Signal) {
		if err := mirror.Cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	f.converged(f.nodes...)

	// It comes back with what it knew, which is older than what the nodes have: that is refused, by name.
	signal(syscall.SIGCONT)
	f.status("an old pointer that is refused", func(st report.Status) error {
		if n := told(st, "refused"); n == 0 {
			return fmt.Errorf("%+v", st.Problems)
		}
		return nil
	})
	f.nodes[0].spoil(t)
	if got := f.nodes[0].motd(); got != fmt.Sprint("version ", f.version) {
		t.Errorf("a mirror took %s back to %q", f.nodes[0].name, got)
	}
	upstream.set(false)
	f.commit()
	f.converged(f.nodes...)
	f.status("all well in the end", f.well)
	f.arrived()
}

// joinThrough enrols a host at the centre with a mirror of its site, and starts its agent.
func (f *fleet) joinThrough(at *place, name, mirror string) {
	f.t.Helper()
	n := &node{name: name, root: f.path(name), at: at}
	if err := os.MkdirAll(n.root, 0o755); err != nil {
		f.t.Fatal(err)
	}
	token := f.centre.run(f.t, f.vigo("token", "create", "--names", name))
	at.run(f.t, self.Command(f.t, "vigo-agent", "--root", n.root, "enroll", "--server", "https://"+f.address, "--token", token, "--node", name, "--mirror", mirror))
	n.agent = at.start(f.t, self.Command(f.t, "vigo-agent", "--root", n.root, "run"))
	f.nodes = append(f.nodes, n)
}

// told counts the nodes that have problems of some kinds.
func told(st report.Status, kinds ...string) int {
	nodes := map[string]bool{}
	for _, p := range st.Problems {
		if slices.Contains(kinds, p.Kind) {
			nodes[p.Node] = true
		}
	}
	return len(nodes)
}

// blobs counts what a docker-registry holds.
func blobs(t *testing.T, dir string) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Name() == "data" && strings.Contains(path, "/blobs/sha256/") {
			n++
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return n
}
