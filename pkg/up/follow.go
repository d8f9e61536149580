package up

import (
	"errors"
	"fmt"
	"net/url"

	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/policy"
)

// follow opens another branch that feeds a channel. The policy names it: it may lead to servers, and not to the files of
// this machine, unless the policy itself is there.
func (c PublisherConfig) follow(origin policy.Origin, dir string) (controller.Followed, error) {
	where, host := c.Git, c.Forge
	if origin.Repository != "" {
		var err error
		if where, err = c.elsewhere(origin.Repository); err != nil {
			return controller.Followed{}, err
		}
		host = nil
		if c.Forges != nil {
			if host, err = c.Forges(origin.Repository); err != nil {
				return controller.Followed{}, err
			}
		}
	}
	git, err := gitsource.Open(gitsource.Options{URL: where, Branch: origin.Branch, Dir: dir, AllowRewrite: c.AllowRewrite})
	if err != nil {
		return controller.Followed{}, fmt.Errorf("opening the policy repository: %w", err)
	}
	return controller.Followed{Git: git, Builder: &controller.Bundler{Check: c.Language}, Forge: host}, nil
}

// elsewhere is the URL to use for another repository. What the controller was given to introduce itself with is for the
// host it was given for.
func (c PublisherConfig) elsewhere(repository string) (string, error) {
	there, err := gitsource.PublicURL(repository)
	if err != nil {
		return "", err
	}
	here, err := gitsource.PublicURL(c.Git)
	if err != nil {
		return "", err
	}
	if there == "" && here != "" {
		return "", fault.WithHint(errors.New("opening the policy repository: a policy from elsewhere names files of this machine"), "name a repository with https or ssh")
	}
	u, err := url.Parse(repository)
	if err != nil {
		return repository, nil // such as git@host:path, which carries its user
	}
	if given, err := url.Parse(c.Git); err == nil && given.User != nil && given.Scheme == u.Scheme && given.Host == u.Host && u.User == nil {
		u.User = given.User
		return u.String(), nil
	}
	return repository, nil
}
