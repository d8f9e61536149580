package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"vigo.dev/pkg/audit"
)

// Auditor keeps the audit log.
type Auditor interface {
	// Audit returns a page of the log; its last checkpoint is of the newest entry there is.
	Audit(ctx context.Context, q audit.Query) (audit.Page, error)
	// Refused takes note of a request that was refused for who sent it; it does not wait for the disk. why is for people.
	Refused(by audit.Caller, route, code, why string)
}

// accessRefusals are the refusals that the audit log is told of: somebody is not who they say they are, or wants what is not
// theirs.
func accessRefusals() []string {
	return []string{ErrUnknownNode.Code, ErrRetired.Code, ErrUnauthorized.Code, ErrForbidden.Code, ErrWrongNode.Code, ErrTaken.Code,
		ErrSignature.Code, ErrDigest.Code, ErrReplay.Code, ErrSkew.Code, ErrToken.Code, ErrNotApproved.Code, ErrRevoked.Code}
}

// recordRefusal tells the audit log of a refusal that concerns access.
func (s *server) recordRefusal(r *http.Request, route string, e *Error) {
	if s.Auditor != nil && slices.Contains(accessRefusals(), e.Code) {
		s.Auditor.Refused(audit.CallerOf(r.Context()), route, e.Code, e.Message)
	}
}

func (s *server) audit(_ http.ResponseWriter, r *http.Request) (any, error) {
	v := r.URL.Query()
	q := audit.Query{Actor: v.Get("actor"), Act: v.Get("act"), Limit: number(r, "limit", audit.MaxPage, audit.MaxPage), Newest: v.Get("newest") != ""}
	var err error
	if after := v.Get("after"); after != "" {
		if q.After, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, Refuse(ErrBadRequest, "after: %.40q is not a number", after)
		}
	}
	if since := v.Get("since"); since != "" {
		if q.Since, err = time.Parse(time.RFC3339Nano, since); err != nil {
			return nil, Refuse(ErrBadRequest, "since: %.40q is not a time", since)
		}
	}
	return s.Auditor.Audit(r.Context(), q)
}

// Audit returns a page of the audit log.
func (c *OperatorClient) Audit(ctx context.Context, q audit.Query) (audit.Page, error) {
	v := url.Values{"after": {strconv.FormatInt(q.After, 10)}, "limit": {strconv.Itoa(q.Limit)}}
	if q.Limit <= 0 {
		v.Del("limit")
	}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.UTC().Format(time.RFC3339Nano))
	}
	for name, value := range map[string]string{"actor": q.Actor, "act": q.Act} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.Newest {
		v.Set("newest", "1")
	}
	var page audit.Page
	err := c.do(ctx, http.MethodGet, "/v1/audit?"+v.Encode(), nil, &page)
	return page, err
}

// WholeAudit reads the log from its first entry to its last.
func (c *OperatorClient) WholeAudit(ctx context.Context) (audit.Log, error) {
	var log audit.Log
	for q := (audit.Query{}); ; {
		page, err := c.Audit(ctx, q)
		if err != nil {
			return log, err
		}
		log.Fleet, log.CA, log.Start = page.Fleet, page.CA, page.Start
		log.Entries = append(log.Entries, page.Entries...)
		for _, p := range page.Checkpoints {
			if !slices.ContainsFunc(log.Checkpoints, func(c audit.Checkpoint) bool { return c.Seq == p.Seq && c.Time.Equal(p.Time) }) {
				log.Checkpoints = append(log.Checkpoints, p)
			}
		}
		if len(page.Entries) < audit.MaxPage {
			return log, nil
		}
		q.After = page.Entries[len(page.Entries)-1].Seq
	}
}

// Fingerprint is that of the authority by which the client knows the service.
func (c *OperatorClient) Fingerprint() string { return c.fingerprint }
