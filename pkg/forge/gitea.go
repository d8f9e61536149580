package forge

import (
	"context"
	"net/http"
)

// gitea speaks the API of Gitea and Forgejo, version 1.
type gitea struct{ *Client }

// requests implements dialect: repoGetCommitPullRequest, which is 404 when no merged request has the commit, then
// repoListPullReviews.
func (g gitea) requests(ctx context.Context, commit, branch string) ([]Request, error) {
	p, err := one[githubPull](ctx, g.Client, g.repo("commits", commit, "pull"))
	if statusOf(err) == http.StatusNotFound {
		// The same answer means that the repository is not there, or not for us.
		if _, err := one[struct{}](ctx, g.Client, g.repo()); err != nil {
			return nil, err
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if p.MergedAt == nil || p.Base.Ref != branch || !g.here(p.Base.Repo.FullName) {
		return nil, nil
	}
	r, err := g.reviewed(ctx, p)
	if err != nil {
		return nil, err
	}
	return []Request{r}, nil
}

// tell implements dialect: repoCreateStatus.
func (g gitea) tell(ctx context.Context, commit string, s State) error {
	return g.status(ctx, commit, s)
}

func (g gitea) file(commit, name string) string { return "src/commit/" + commit + "/" + name }
