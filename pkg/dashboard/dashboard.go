// Package dashboard shows a fleet in a browser: pages that the server renders from the same interfaces the API serves, kept
// fresh by one stream of events per browser.
//
// It refuses to change anything of the fleet, to show anything to who is not logged in, to run script that is not its own
// (there is none in a page), and to trust what nodes report: every string of theirs is escaped by html/template.
package dashboard

import (
	"context"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
)

// A Door lets people in, with the tokens they use elsewhere.
type Door interface {
	// OpenSession makes the token of a browser for who holds a token; [api.ErrUnauthorized] or [api.ErrForbidden].
	OpenSession(ctx context.Context, token string) (api.AccessAnswer, error)
	// Operator returns who holds a token while that is valid; [api.ErrUnauthorized].
	Operator(token string) (api.Operator, error)
	AccessToken(token string) (api.AccessToken, error)
	RevokeAccess(ctx context.Context, id string) error
	// Admit counts a request against the rate of its sender; [api.ErrTooMany].
	Admit(what, sender string) error
}

// Config is what a dashboard is made of; every field but SignIn is needed.
type Config struct {
	Fleet      string
	Operators  api.Operators
	Inventory  api.Inventory
	Compliance api.Compliance
	Alerts     api.Alerts
	Rollouts   Rollouts
	Dead       api.DeadNotices
	Auditor    api.Auditor
	Door       Door
	Logins     api.Logins
	SignIn     SignIn // nil: people log in with tokens only
	Log        *slog.Logger
	Now        func() time.Time
}

// A Dashboard serves the pages below /ui/. It is safe for concurrent use.
type Dashboard struct {
	Config
	pages  map[string]*template.Template
	assets assets
	live   *live
	pulse  pulse
	slots  chan struct{}
}

// maxPages is how many pages are made at once; more are sent away as busy.
const maxPages = 32

// New makes a dashboard; Run keeps its browsers fresh.
func New(c Config) (*Dashboard, error) {
	d := &Dashboard{Config: c, slots: make(chan struct{}, maxPages)}
	var err error
	if d.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if d.pages, err = loadPages(d.assets); err != nil {
		return nil, err
	}
	d.live = newLive(d)
	return d, nil
}

// Run watches the fleet while browsers look at it, until ctx ends; then it ends their streams.
func (d *Dashboard) Run(ctx context.Context) { d.live.run(ctx) }

// Handler answers everything below /ui/. It must be served over TLS.
func (d *Dashboard) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, show := range map[string]func(*http.Request, *page) error{
		"GET /ui/{$}": d.overview, "GET /ui/nodes": d.nodes, "GET /ui/nodes/{name}": d.node,
		"GET /ui/inventory": d.inventory, "GET /ui/compliance": d.compliance, "GET /ui/channels": d.channels, "GET /ui/rollouts": d.rollouts, "GET /ui/rollouts/{channel}": d.rollout, "GET /ui/alerts": d.alerts, "GET /ui/hubs": d.hubs, "GET /ui/events": d.events,
	} {
		mux.Handle(pattern, d.inside(show, readers()...))
	}
	mux.Handle("GET /ui/audit", d.inside(d.audit, identity.RoleAdmin))
	mux.Handle("GET /ui/{rest...}", d.inside(func(r *http.Request, _ *page) error {
		return api.Refuse(api.ErrNotFound, "there is no page %.80s", r.URL.Path)
	}, readers()...))
	mux.HandleFunc("GET /ui/live", d.stream)
	mux.HandleFunc("GET /ui/login", d.loginPage)
	mux.HandleFunc("POST /ui/login", d.login)
	mux.HandleFunc("GET "+beginPath, d.begin)
	mux.HandleFunc("GET "+backPath, d.back)
	mux.HandleFunc("POST /ui/logout", d.logout)
	mux.Handle("GET /ui/static/", d.assets)
	return secured(http.NewCrossOriginProtection().Handler(mux))
}

// readers are the roles that may look at the fleet.
func readers() []identity.Role {
	return []identity.Role{identity.RoleViewer, identity.RoleOperator, identity.RoleAdmin}
}
