package forge

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// gitlab speaks the REST API of GitLab, version 4.
type gitlab struct{ *Client }

type gitlabUser struct {
	Username string `json:"username"`
}

type gitlabMerge struct {
	IID             int64      `json:"iid"`
	ProjectID       int64      `json:"project_id"`
	TargetProjectID int64      `json:"target_project_id"`
	State           string     `json:"state"`
	TargetBranch    string     `json:"target_branch"`
	Author          gitlabUser `json:"author"`
	SHA             string     `json:"sha"` // head of the source branch
	MergeCommitSHA  string     `json:"merge_commit_sha"`
	SquashCommitSHA string     `json:"squash_commit_sha"`
}

type gitlabApprovals struct {
	ApprovedBy []struct {
		User       gitlabUser `json:"user"`
		ApprovedAt *time.Time `json:"approved_at"`
	} `json:"approved_by"`
}

type gitlabVersion struct {
	HeadCommitSHA string    `json:"head_commit_sha"`
	CreatedAt     time.Time `json:"created_at"`
}

func (g gitlab) project(rest ...string) string {
	path := "projects/" + url.PathEscape(g.owner+"/"+g.name)
	if len(rest) > 0 {
		path += "/" + strings.Join(rest, "/")
	}
	return path
}

// requests implements dialect: "List merge requests associated with a commit", then "Retrieve approval state" and "List
// merge request diff versions". An approval counts if it is younger than the version that was merged: GitLab may be set
// up to keep approvals when something is pushed.
func (g gitlab) requests(ctx context.Context, commit, branch string) ([]Request, error) {
	merges, err := each[gitlabMerge](ctx, g.Client, g.project("repository", "commits", commit, "merge_requests"))
	if err != nil {
		return nil, err
	}
	var found []Request
	for _, m := range merges {
		if m.State != "merged" || m.TargetBranch != branch || m.TargetProjectID != m.ProjectID {
			continue
		}
		r, err := g.approvals(ctx, m)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, nil
}

func (g gitlab) approvals(ctx context.Context, m gitlabMerge) (Request, error) {
	r := Request{Number: m.IID, Author: m.Author.Username, Head: m.SHA, Merge: m.MergeCommitSHA}
	if r.Merge == "" {
		r.Merge = m.SquashCommitSHA
	}
	iid := strconv.FormatInt(m.IID, 10)
	state, err := one[gitlabApprovals](ctx, g.Client, g.project("merge_requests", iid, "approvals"))
	if err != nil || len(state.ApprovedBy) == 0 {
		return r, err
	}
	versions, err := each[gitlabVersion](ctx, g.Client, g.project("merge_requests", iid, "versions"))
	if err != nil {
		return r, err
	}
	var newest gitlabVersion
	for _, v := range versions {
		if v.CreatedAt.After(newest.CreatedAt) {
			newest = v
		}
	}
	if newest.HeadCommitSHA != m.SHA {
		return r, errors.New("the newest version of the merge request is not what was merged")
	}
	for _, a := range state.ApprovedBy {
		switch {
		case a.ApprovedAt == nil:
			return r, errors.New("it does not say when the merge request was approved; newer versions of GitLab do")
		case a.ApprovedAt.Before(newest.CreatedAt):
			r.Stale = append(r.Stale, a.User.Username)
		default:
			r.Approved = append(r.Approved, a.User.Username)
		}
	}
	return r, nil
}

// tell implements dialect: "Set commit pipeline status". To set the state again that a commit has is an error there.
func (g gitlab) tell(ctx context.Context, commit string, s State) error {
	body := map[string]string{"state": map[string]string{Pending: "pending", Success: "success", Failure: "failed"}[s.State],
		"name": s.Context, "description": cut(s.Text, 255)}
	if s.Link != "" {
		body["target_url"] = s.Link
	}
	_, err := g.ask(ctx, http.MethodPost, g.api.JoinPath(g.project("statuses", commit)).String(), body, nil)
	if r := (*refusal)(nil); errors.As(err, &r) && r.status == http.StatusBadRequest && strings.HasPrefix(r.message, "Cannot transition status") {
		return nil
	}
	return err
}

func (g gitlab) file(commit, name string) string { return "-/blob/" + commit + "/" + name }
