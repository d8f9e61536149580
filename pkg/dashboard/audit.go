package dashboard

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
)

// auditPage is a page of the record of who did what, newest first.
type auditPage struct {
	Actor, Act string
	Entries    []audit.Entry
	Older      int64 // the number before which the next page ends; 0: there is none, or it is not known where it is
}

// audit shows the newest entries, or those before a number. Of what is filtered only the newest are shown.
func (d *Dashboard) audit(r *http.Request, p *page) error {
	v := r.URL.Query()
	a := auditPage{Actor: strings.TrimSpace(v.Get("actor")), Act: strings.TrimSpace(v.Get("act"))}
	q := audit.Query{Actor: a.Actor, Act: a.Act, Limit: showAudit, Newest: true}
	if text := v.Get("before"); text != "" {
		before, err := strconv.ParseInt(text, 10, 64)
		if err != nil || before < 2 {
			return api.Refuse(api.ErrBadRequest, "before: %.40q is not the number of an entry that has others before it", text)
		}
		q.After, q.Newest = max(0, before-1-showAudit), false
		q.Limit = int(before - 1 - q.After)
	}
	read, err := d.Auditor.Audit(r.Context(), q)
	if err != nil {
		return err
	}
	a.Entries = read.Entries
	slices.Reverse(a.Entries)
	if n := len(a.Entries); n > 0 && a.Actor == "" && a.Act == "" && a.Entries[n-1].Seq > 1 {
		a.Older = a.Entries[n-1].Seq
	}
	p.name, p.Title, p.Section, p.Body = "audit", "Audit", "audit", a
	p.Command = commandOf("vigo audit log", onlySet(map[string]string{"actor": a.Actor, "act": a.Act}))
	return nil
}
