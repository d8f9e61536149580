// Package house holds the rules the source tree keeps, and the tests that enforce them: which package may import which,
// where child processes and build tags may live, how long a file may get.
//
// It refuses to run any tool: it reads the files itself, because the test cache does not see what a child process reads.
package house

import "strings"

// The floors of the house. A package imports only packages on lower floors; "" is the floor of the whole program.
var floors = []struct {
	path  string // relative to the module
	floor int
}{
	{"pkg/fault", 0}, {"pkg/change", 0}, {"pkg/trait", 0}, {"pkg/host", 0}, {"pkg/bundle", 0}, {"pkg/report", 0},
	{"pkg/rollout", 0}, {"pkg/netdev", 0}, {"pkg/atomicfile", 0}, {"pkg/redact", 0}, {"pkg/window", 0},
	{"pkg/superblock", 0}, {"pkg/lease", 0}, {"pkg/excerpt", 0}, {"pkg/span", 0}, {"pkg/glob", 0},

	{"pkg/audit", 1}, {"pkg/resource", 1}, {"pkg/policy", 1}, {"pkg/expr", 1}, {"pkg/seal", 1}, {"pkg/sigstore", 1},

	{"pkg/resources", 2}, {"pkg/traits", 2}, {"pkg/machine", 2}, {"pkg/catalog", 2}, {"pkg/converge", 2},
	{"pkg/trust", 2}, {"pkg/identity", 2}, {"pkg/manual", 2}, {"pkg/policytest", 4}, {"pkg/policyfmt", 2}, {"pkg/starter", 2}, {"pkg/adopt", 3}, {"pkg/devices/hcfg", 2},

	{"pkg/ocistore", 3}, {"pkg/gitsource", 3}, {"pkg/forge", 3}, {"pkg/sqlstore", 3}, {"pkg/inventory", 3}, {"pkg/keys", 3}, {"pkg/hook", 3}, {"pkg/prune", 3}, {"pkg/ceremony", 3}, {"pkg/secrets", 3}, {"pkg/guard", 3}, {"pkg/api", 3}, {"pkg/alert", 3}, {"pkg/devices", 3},

	{"pkg/agent", 4}, {"pkg/controller", 4}, {"pkg/reporting", 4}, {"pkg/hub", 4}, {"pkg/signin", 4}, {"pkg/fleetsim", 4}, {"pkg/dashboard", 4},

	{"pkg/up", 5},

	{"pkg/cli", 6}, {"test/postgres", 6}, {"test/loopback", 0},

	{"cmd", 7}, {"test", 7}, {"", 7},
}

// Imports on one floor that are meant: the words reports are made of.
var meant = map[[2]string]bool{
	{"pkg/report", "pkg/change"}: true,
	{"pkg/report", "pkg/trait"}:  true,

	{"pkg/bundle", "pkg/rollout"}: true, // a pointer carries a directive
	{"pkg/report", "pkg/rollout"}: true, // how far a rollout is, in its words
	{"pkg/report", "pkg/window"}:  true, // when a maintenance goes on
	{"pkg/lease", "pkg/rollout"}:  true, // shares of nodes

	{"pkg/host/lvm", "pkg/excerpt"}: true, // what its programs say
}

// floorOf returns the floor of a package given relative to the module, and whether it has one. A package ending in
// "test" is a suite and stands one floor above the contract it tests; other packages inside a package stand on its
// floor.
func floorOf(rel string) (int, bool) {
	suite := strings.HasSuffix(rel, "test") && strings.Count(rel, "/") >= 2
	for _, f := range floors {
		if rel == f.path || f.path != "" && strings.HasPrefix(rel, f.path+"/") {
			if suite && strings.HasPrefix(rel, "pkg/") {
				return f.floor + 1, true
			}
			return f.floor, true
		}
	}
	return 0, false
}

// mayImport says whether one package of this module may import another. A package and those inside it are one family:
// they may import each other when Go lets them.
func mayImport(from, to string) bool {
	f, okF := floorOf(from)
	t, okT := floorOf(to)
	if !okF || !okT {
		return false
	}
	return t < f || meant[[2]string{from, to}] || family(from) == family(to) && family(from) != ""
}

// family names the top package a package is inside of: "pkg/trust" for "pkg/trust/sign".
func family(rel string) string {
	parts := strings.Split(rel, "/")
	if len(parts) < 2 || parts[0] != "pkg" && parts[0] != "test" {
		return ""
	}
	return parts[0] + "/" + parts[1]
}

// Names of packages that say nothing about what is inside.
var vague = []string{"util", "utils", "common", "helper", "helpers", "base", "types", "models", "misc", "shared", "lib"}

// Modules that are too heavy for the agent, with why they are not needed there.
var notInAgent = map[string]string{
	"github.com/go-git/go-git":                   "agents read bundles, not git",
	"github.com/sigstore/sigstore-go":            "bundles are verified by pkg/sigstore, which sigstore-go judges in tests",
	"google.golang.org/protobuf":                 "what agents read is JSON",
	"modernc.org/sqlite":                         "agents keep files, not databases",
	"github.com/olareg/olareg":                   "agents do not serve a registry",
	"github.com/coreos/go-oidc":                  "people log in to services, not to hosts",
	"golang.org/x/oauth2":                        "people log in to services, not to hosts",
	"github.com/prometheus/":                     "agents are watched through their reports",
	"github.com/google/cel-go":                   "conditions are expr-lang",
	"github.com/jackc/pgx":                       "agents keep files, not databases",
	"github.com/hiddeco/sshsig":                  "commits are checked by the controller",
	"github.com/charmbracelet/":                  "agents have no terminal surface",
	"github.com/aws/aws-sdk-go-v2":               "no cloud SDKs on hosts",
	"github.com/rogpeppe/go-internal/testscript": "scripts belong to tests",
}
