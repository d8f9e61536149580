package policy

import (
	"net/url"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// An Origin is what a channel is fed from, when it is not the branch whose fleet.yaml says so. Only the branch that the
// controller was started with is asked; what other branches say of it decides nothing.
type Origin struct {
	Repository string `json:"repository,omitempty"` // URL; empty: the same
	Branch     string `json:"branch"`
}

// branchRule is stricter than git-check-ref-format(1).
var branchRule = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*$`)

// Is says whether an origin is a branch of a repository, which the URL names.
func (o Origin) Is(repository, branch string) bool {
	return o.Branch == branch && (o.Repository == "" || o.Repository == repository)
}

func (o Origin) String() string {
	if o.Repository == "" {
		return o.Branch
	}
	return o.Repository + "#" + o.Branch
}

func (r *reader) origin(n *yaml.Node) Origin {
	o := Origin{Branch: "main"}
	entries, ok := r.mapping(n, "from")
	if !ok {
		return o
	}
	r.only(entries, "branch", "repository")
	if len(entries) == 0 {
		r.fail(n, "missing-key", "branch: release", "from names neither a branch nor a repository")
	}
	for _, e := range entries {
		switch e.key {
		case "branch":
			o.Branch = r.str(e.value, "branch")
			if !branchRule.MatchString(o.Branch) || strings.Contains(o.Branch, "..") || strings.HasSuffix(o.Branch, ".lock") || len(o.Branch) > 200 {
				r.fail(e.value, "bad-name", "", "%q is not a name for a branch", o.Branch)
			}
		case "repository":
			o.Repository = r.str(e.value, "repository")
			u, err := url.Parse(o.Repository)
			if err != nil || o.Repository == "" || len(o.Repository) > 1000 {
				r.fail(e.value, "bad-value", "https://git.example.com/acme/policy.git", "%q is not the URL of a repository", o.Repository)
				continue
			}
			if _, secret := u.User.Password(); secret {
				r.fail(e.value, "bad-value", "the controller uses what it was given for the same host", "a password in a policy is no secret")
			}
		}
	}
	return o
}
