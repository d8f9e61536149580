package dashboard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// page is what every page is made of.
type page struct {
	Title   string
	Section string // of the navigation
	Fleet   string
	Who     api.Operator
	Now     time.Time
	Pulse   *report.Status // how the fleet is, for the bar on top; nil: not known
	Command string         // that shows the same in a terminal
	Node    string         // the page is about it
	Body    any
	name    string // of the template
}

// Admin is whether who looks may see what only admins do.
func (p *page) Admin() bool { return p.Who.Role == identity.RoleAdmin }

// workTime is how long a page may wait for the store.
const workTime = 20 * time.Second

// inside serves a page to who is logged in and has one of the roles.
func (d *Dashboard) inside(show func(*http.Request, *page) error, roles ...identity.Role) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, who, err := d.session(r)
		if errors.Is(err, api.ErrUnauthorized) {
			d.sendToLogin(w, r)
			return
		}
		p := &page{Who: who}
		if err == nil {
			err = d.work(r, p, show, roles)
		}
		if err != nil {
			d.fail(w, r, p, err)
			return
		}
		d.render(w, r, http.StatusOK, p.name, p)
	})
}

func (d *Dashboard) work(r *http.Request, p *page, show func(*http.Request, *page) error, roles []identity.Role) error {
	if !allowed(p.Who.Role, roles) {
		err := api.Refuse(api.ErrForbidden, "%s is a %s; this page needs %s", p.Who.Name, p.Who.Role, roles[0])
		d.Auditor.Refused(audit.Caller{Name: p.Who.Name, Role: string(p.Who.Role), Address: address(r)}, r.Method+" "+r.URL.Path, err.Code, err.Message)
		return err
	}
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	default:
		return api.ErrBusy
	}
	ctx, cancel := context.WithTimeout(r.Context(), workTime)
	defer cancel()
	p.Now = d.Now()
	status, err := d.pulse.of(ctx, d.Operators)
	if err != nil {
		return err
	}
	p.Pulse = &status
	return show(r.WithContext(ctx), p)
}

// sendToLogin asks who is not known to log in. A link on another site comes without the cookie, which is sent to none but our
// own pages: such a request is made once more, by a page of ours.
func (d *Dashboard) sendToLogin(w http.ResponseWriter, r *http.Request) {
	if _, err := r.Cookie(cookieName); err != nil && r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		d.render(w, r, http.StatusOK, "again", &page{Title: "One moment", Body: wanted(r.URL.RequestURI())})
		return
	}
	http.Redirect(w, r, "/ui/login?"+url.Values{"next": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
}

// explain finds what to say of an error; what is not a refusal stays in the log.
func (d *Dashboard) explain(r *http.Request, err error) (int, api.Error) {
	if refused, ok := errors.AsType[*api.Error](err); ok {
		told := *refused
		if hints := fault.Hints(err); told.Advice == "" && len(hints) > 0 {
			told.Advice = hints[0]
		}
		return told.Status, told
	}
	d.Log.Error("showing a page", "path", r.URL.Path, "err", err)
	return api.ErrInternal.Status, *api.ErrInternal
}

// fail shows what is wrong.
func (d *Dashboard) fail(w http.ResponseWriter, r *http.Request, p *page, err error) {
	status, e := d.explain(r, err)
	if e.Retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.Retry/time.Second)))
	}
	p.Title, p.Body = http.StatusText(status), e
	d.render(w, r, status, "error", p)
}

// render writes a page once all of it is made.
func (d *Dashboard) render(w http.ResponseWriter, r *http.Request, status int, name string, p *page) {
	p.Fleet = d.Fleet
	if p.Now.IsZero() {
		p.Now = d.Now()
	}
	var out bytes.Buffer
	if err := d.pages[name].ExecuteTemplate(&out, "layout", p); err != nil {
		d.Log.Error("making a page", "page", name, "err", err)
		http.Error(w, api.ErrInternal.Message, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(out.Bytes()) // the browser may be gone
	}
}

// pageNames are the templates; each is shown inside of layout, with the parts.
func pageNames() []string {
	return []string{"login", "again", "error", "overview", "nodes", "node", "inventory", "compliance", "control", "channels", "rollouts", "rollout", "alerts", "hubs", "events", "audit"}
}

func loadPages(a assets) (map[string]*template.Template, error) {
	base, err := template.New("").Funcs(words(a)).ParseFS(files, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, fmt.Errorf("reading the pages of the dashboard: %w", err)
	}
	pages := map[string]*template.Template{}
	for _, name := range pageNames() {
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(files, "templates/"+name+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("reading page %s of the dashboard: %w", name, err)
		}
		pages[name] = t
	}
	return pages, nil
}
