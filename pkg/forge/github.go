package forge

import (
	"context"
	"net/http"
	"strconv"
)

// github speaks the REST API of GitHub, version 2022-11-28.
type github struct{ *Client }

type githubUser struct {
	Login string `json:"login"`
}

type githubPull struct {
	Number         int64      `json:"number"`
	User           githubUser `json:"user"`
	MergedAt       *string    `json:"merged_at"`
	MergeCommitSHA string     `json:"merge_commit_sha"`
	Head           struct {
		SHA string `json:"sha"`
	} `json:"head"`
	Base struct {
		Ref  string `json:"ref"`
		Repo struct {
			FullName string `json:"full_name"`
		} `json:"repo"`
	} `json:"base"`
}

type githubReview struct {
	User     *githubUser `json:"user"` // null: the account is gone
	State    string      `json:"state"`
	CommitID string      `json:"commit_id"`
	// Of Gitea.
	Stale     bool `json:"stale"`
	Dismissed bool `json:"dismissed"`
}

// requests implements dialect: "List pull requests associated with a commit", then "List reviews for a pull request",
// which come in chronological order.
func (g github) requests(ctx context.Context, commit, branch string) ([]Request, error) {
	pulls, err := each[githubPull](ctx, g.Client, g.repo("commits", commit, "pulls"))
	if err != nil {
		return nil, err
	}
	var found []Request
	for _, p := range pulls {
		if p.MergedAt == nil || p.Base.Ref != branch || !g.here(p.Base.Repo.FullName) {
			continue
		}
		r, err := g.reviewed(ctx, p)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, nil
}

// reviewed adds who approved a pull request.
func (c *Client) reviewed(ctx context.Context, p githubPull) (Request, error) {
	r := Request{Number: p.Number, Author: p.User.Login, Head: p.Head.SHA, Merge: p.MergeCommitSHA}
	reviews, err := each[githubReview](ctx, c, c.repo("pulls", strconv.FormatInt(p.Number, 10), "reviews"))
	if err != nil {
		return r, err
	}
	r.Approved, r.Stale = standing(reviews, p.Head.SHA)
	return r, nil
}

// standing finds whose last word is an approval, and whether it is one of the head. Comments are no last word.
func standing(reviews []githubReview, head string) (approved, stale []string) {
	last := map[string]githubReview{}
	var order []string
	for _, review := range reviews {
		if review.User == nil || review.User.Login == "" {
			continue
		}
		switch review.State {
		case "APPROVED", "CHANGES_REQUESTED", "REQUEST_CHANGES", "DISMISSED":
		default:
			continue
		}
		if _, known := last[review.User.Login]; !known {
			order = append(order, review.User.Login)
		}
		last[review.User.Login] = review
	}
	for _, login := range order {
		switch review := last[login]; {
		case review.State != "APPROVED" || review.Dismissed:
		case review.CommitID != head || review.Stale:
			stale = append(stale, login)
		default:
			approved = append(approved, login)
		}
	}
	return approved, stale
}

// tell implements dialect: "Create a commit status". A description has at most 140 characters.
func (g github) tell(ctx context.Context, commit string, s State) error {
	return g.status(ctx, commit, s)
}

// status creates a commit status as GitHub and Gitea have it.
func (c *Client) status(ctx context.Context, commit string, s State) error {
	body := map[string]string{"state": s.State, "description": cut(s.Text, 140), "context": s.Context}
	if s.Link != "" {
		body["target_url"] = s.Link
	}
	_, err := c.ask(ctx, http.MethodPost, c.api.JoinPath(c.repo("statuses", commit)).String(), body, nil)
	return err
}

func (g github) file(commit, name string) string { return "blob/" + commit + "/" + name }
