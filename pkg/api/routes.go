package api

import (
	"net/http"
	"slices"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// A route is one request that can be made. The server and its description are made of the same list.
type route struct {
	pattern string // of http.ServeMux
	who     string // may ask: what signs, or the least of the roles; see roles
	about   string
	params  []param // in the address, beside those of the path
	in, out any     // values of the types of the bodies; nil: none
	serve   handler
}

// handler answers a request with a value that is sent as JSON, or an error.
type handler func(http.ResponseWriter, *http.Request) (any, error)

// roles are those of people and controllers that may ask, beside admins; none for a route whose handler finds out itself who
// asks. A word that is none of these is for admins alone.
func (r route) roles() []identity.Role {
	switch r.who {
	case "token", "node", "hub", "anyone", "nobody":
		return nil
	case string(identity.RoleViewer):
		return []identity.Role{identity.RoleViewer, identity.RoleOperator}
	}
	return []identity.Role{identity.Role(r.who)}
}

// param is a parameter in the address of a request.
type param struct {
	name, about string
	many        bool
}

// nodeFilters narrow a list of nodes.
func nodeFilters(more ...param) []param {
	return append([]param{
		{name: "name", about: "glob of node names"}, {name: "presence", about: "live, late, stale, missing, never or retired"},
		{name: "compliance", about: "ok, changed, drift, failed or never"}, {name: "digest", about: "current, candidate, behind, ahead or unknown"},
		{name: "channel", about: "name of a channel"}, {name: "label", about: "name=value", many: true},
	}, more...)
}

func (s *server) routes() []route {
	return slices.Concat(s.nodeRoutes(), s.fleetRoutes(), s.historyRoutes(), s.alertRoutes(), s.upkeepRoutes(), s.rolloutRoutes(), s.modeRoutes(), s.rebootRoutes(), s.doctorRoutes(), s.accessRoutes())
}

// nodeRoutes are what nodes, hubs and controllers ask.
func (s *server) nodeRoutes() []route {
	return []route{
		{"POST /v1/enroll", "token", "Give a node an identity", nil, EnrollRequest{}, EnrollAnswer{}, s.enroll},
		{"POST /v1/renew", "node", "Renew the certificate of a node", nil, RenewRequest{}, RenewAnswer{}, s.renew},
		{checkInRoute, "node", "Say how a node is", nil, report.CheckIn{}, report.Answer{}, s.checkIn},
		{batchRoute, "hub", "Hand on what several nodes say, each with its signature", nil, nil, nil, s.checkInBatch},
		{"POST /v1/runs", "node", "Tell of runs", nil, RunsRequest{}, nil, s.runs},
		{"POST /v1/facets", "node", "Upload trait documents that were asked for", nil, report.Facets{}, nil, s.facets},
		{"POST /v1/hub", "hub", "Speak for the nodes behind a hub that have nothing new to say", nil, report.HubReport{}, report.HubAnswer{}, s.hub},
		{"PUT /v1/channels", "publisher", "Take note of what a controller publishes", nil, ChannelsRequest{}, nil, s.putChannels},
		{"PUT /v1/grants", "publisher", "Take the labels that policies give to nodes", nil, GrantsRequest{}, nil, s.putGrants},
		{"GET /v1/recipients", "publisher", "List the nodes that secrets may be sealed to", nil, nil, []report.Recipient{}, s.recipients},
	}
}

// fleetRoutes are what people ask of the fleet.
func (s *server) fleetRoutes() []route {
	return []route{
		{"GET /v1/status", "viewer", "State of the fleet", []param{{name: "problems", about: "how many problems to list, at most 1000"}}, nil, report.Status{}, s.status},
		{"GET /v1/nodes", "viewer", "List nodes", nodeFilters(), nil, []report.NodeStatus{}, s.nodes},
		{"GET /v1/nodes/{name}", "viewer", "All about one node", nil, nil, report.NodeDetail{}, s.node},
		{"DELETE /v1/nodes/{name}", "operator", "Retire a node", nil, nil, nil, s.retire},
		{"GET /v1/traits", "viewer", "Traits of nodes", nodeFilters(param{name: "where", about: "condition over labels and traits"}), nil, []report.Traits{}, s.traits},
		{"GET /v1/events", "viewer", "What happened, newest first", []param{{name: "limit", about: "at most 10000"}}, nil, []report.Event{}, s.events},
		{"GET /v1/inventory", "viewer", "Find nodes by what they have", nodeFilters(
			param{name: "where", about: "condition over labels and traits"}, param{name: "show", about: "path of a value", many: true},
			param{name: "count", about: "path whose values are counted"}, param{name: "limit", about: "nodes to list"}), nil, report.Inventory{}, s.inventory},
		{"GET /v1/controls", "viewer", "Count nodes by the controls that their policy serves", []param{{name: "control", about: "only this one, with its nodes"}}, nil, report.Controls{}, s.controls},
		{"GET /v1/questions", "viewer", "List saved questions", nil, nil, []report.SavedQuestion{}, s.questions},
		{"PUT /v1/questions/{name}", "operator", "Save a question", nil, report.SavedQuestion{}, nil, s.putQuestion},
		{"DELETE /v1/questions/{name}", "operator", "Forget a question", nil, nil, nil, s.removeQuestion},
		{"GET /v1/openapi.json", "viewer", "This description", nil, nil, map[string]any{}, s.openAPI},
	}
}

// accessRoutes are about who may do what.
func (s *server) accessRoutes() []route {
	return []route{
		{"GET /v1/tokens", "operator", "List enrolment tokens", nil, nil, []identity.Grant{}, s.tokens},
		{"POST /v1/tokens", "operator", "Make an enrolment token", nil, TokenRequest{}, TokenAnswer{}, s.createToken},
		{"DELETE /v1/tokens/{id}", "operator", "Revoke an enrolment token", nil, nil, nil, s.revokeToken},
		{"GET /v1/audit", "operator", "A page of the record of who did what", []param{
			{name: "after", about: "number of the entry before the page"}, {name: "limit", about: "entries"}, {name: "since", about: "time of RFC 3339"},
			{name: "actor", about: "name"}, {name: "act", about: "glob"}, {name: "newest", about: "1: the last entries"}}, nil, audit.Page{}, s.audit},
		{"GET /v1/whoami", "anyone", "Who asks", nil, nil, Whoami{}, s.whoami},
		{"GET /v1/access", "anyone", "List tokens and certificates of people", nil, nil, []AccessToken{}, s.accessTokens},
		{"POST /v1/access", "anyone", "Make a further token", nil, AccessRequest{}, AccessAnswer{}, s.createAccess},
		{"DELETE /v1/access/{id}", "anyone", "Revoke a token or certificate", nil, nil, nil, s.revokeAccess},
		{"POST /v1/certificates", "anyone", "Issue a client certificate", nil, CertificateRequest{}, CertificateAnswer{}, s.issueCertificate},
		{"POST /v1/certificates/renew", "anyone", "Renew a client certificate", nil, RenewRequest{}, CertificateAnswer{}, s.renewCertificate},
		{"GET /v1/login", "nobody", "Through which identity provider people log in", nil, nil, LoginOffer{}, s.loginOffer},
		{"POST /v1/login", "nobody", "Exchange an ID token for a token of some hours", nil, LoginRequest{}, AccessAnswer{}, s.login},
		{"GET /v1/operators", "admin", "List operators", nil, nil, []Operator{}, s.operators},
		{"PUT /v1/operators/{name}", "admin", "Make an operator", nil, OperatorRequest{}, OperatorAnswer{}, s.putOperator},
		{"DELETE /v1/operators/{name}", "admin", "Remove an operator", nil, nil, nil, s.removeOperator},
	}
}
