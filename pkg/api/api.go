// Package api is the wire protocol between agents, operators and the report service: version 1, JSON over HTTPS.
//
// Agents prove themselves twice: by a client certificate on the connection and by a signature on every request, so that
// a relay can pass requests on and cannot make one up. Operators carry a bearer token.
//
// It refuses to store anything and to decide what a state means (package reporting does), to trust a server that does not
// belong to the pinned authority, and to read a body beyond its limit.
package api

import (
	"context"
	"crypto/ed25519"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// The limits on bodies, in bytes, and on batches.
const (
	MaxSmall   = 64 << 10 // enrolment, renewal, check-in, tokens, operators
	MaxUpload  = 8 << 20  // runs and facets
	MaxNotes   = 2 << 20  // what a controller says of its channels
	MaxAnswer  = 64 << 20 // what a client reads
	MaxRuns    = 100      // runs in one batch
	MaxFacets  = 200      // facets in one upload
	MaxResults = 5000     // results kept of one run

	MaxChannels = 256
)

// EnrollRequest asks for an identity with a token.
type EnrollRequest struct {
	Token string `json:"token"`
	Node  string `json:"node"`
	CSR   string `json:"csr"` // PEM, of the node's Ed25519 key, for the node's name
	Agent string `json:"agent,omitempty"`
	Hub   bool   `json:"hub,omitempty"` // the token is one for hubs, and a hub asks
}

// EnrollAnswer is all a node must know to begin.
type EnrollAnswer struct {
	Node        string            `json:"node"`
	Fleet       string            `json:"fleet"`
	Channel     string            `json:"channel"`
	Labels      map[string]string `json:"labels,omitempty"`
	Interval    time.Duration     `json:"interval"`
	Certificate string            `json:"certificate"` // PEM chain: node, authority
	CA          string            `json:"ca"`          // PEM
	TrustRoot   []byte            `json:"trustRoot"`   // the trust root document, as it is
	// Registry holds the references to pull from, in order. One that begins with a slash is on the server that was asked:
	// only who enrols knows by which address that is reached. [Enroll] puts that in.
	Registry []string `json:"registry"`
	// Servers are further addresses of the service, to ask in order while the one that was asked does not answer; a hub names
	// those it asks itself.
	Servers []string `json:"servers,omitempty"`
	// Seal is the signature of the fleet's authority over everything but Interval, Registry and Servers: a hub between can say
	// where to pull from and whom to ask, and not whom to trust.
	Seal []byte `json:"seal"`
}

// RenewRequest asks for a new certificate for the same key.
type RenewRequest struct {
	CSR string `json:"csr"`
}

// RenewAnswer is the new certificate.
type RenewAnswer struct {
	Certificate string `json:"certificate"` // PEM chain: node, authority
}

// RunsRequest is a batch of runs of the node that signs; at most [MaxRuns].
type RunsRequest struct {
	Runs []report.Run `json:"runs"`
}

// TokenRequest asks for an enrolment token.
type TokenRequest struct {
	Names   string            `json:"names,omitempty"` // glob; empty: any name
	Labels  map[string]string `json:"labels,omitempty"`
	Channel string            `json:"channel,omitempty"` // empty: the default of the service
	Hub     bool              `json:"hub,omitempty"`     // for hubs, and for nothing else
	Uses    int               `json:"uses"`              // 0: no limit
	Life    time.Duration     `json:"life,omitempty"`    // 0: for ever
	Note    string            `json:"note,omitempty"`
	// RetireAfter is how long a node that enrols with it may not be heard of before it is retired, at least an hour; 0: as the
	// service says.
	RetireAfter time.Duration `json:"retireAfter,omitempty"`
}

// TokenAnswer holds the clear text of a new token, the only time it is seen.
type TokenAnswer struct {
	Token string         `json:"token"`
	Grant identity.Grant `json:"grant"`
}

// An Operator is a person or a program with a token of its own.
type Operator struct {
	Name string        `json:"name"`
	Role identity.Role `json:"role"` // viewer, operator, admin or publisher
}

// OperatorRequest says what an operator is to be.
type OperatorRequest struct {
	Role identity.Role `json:"role"`
}

// OperatorAnswer holds the clear text of a new operator token, the only time it is seen.
type OperatorAnswer struct {
	Operator
	Token string `json:"token"`
}

// ChannelsRequest is all that a controller publishes, or could not; at most [MaxChannels].
type ChannelsRequest struct {
	Channels []report.ChannelNote `json:"channels"`
}

// Agents serves nodes. Names of nodes are authenticated by the handler, except in Enroll.
type Agents interface {
	// Enroll gives a node an identity; what it answered survives a crash.
	Enroll(ctx context.Context, r EnrollRequest) (EnrollAnswer, error)
	// Renew issues a certificate for the key the node has enrolled with.
	Renew(ctx context.Context, node, csr string) (RenewAnswer, error)
	CheckIn(ctx context.Context, c report.CheckIn) (report.Answer, error)
	// PutRuns keeps runs; when it returns they survive a crash. A run whose ID is known is the same run.
	PutRuns(ctx context.Context, node string, runs []report.Run) error
	// PutFacets keeps facets whose digests were checked by the handler; when it returns they survive a crash.
	PutFacets(ctx context.Context, node string, f report.Facets) error
}

// Hubs serves the relays of sites.
type Hubs interface {
	// HubReport takes the word of a hub for the nodes behind it that have nothing new to say.
	HubReport(ctx context.Context, hub string, r report.HubReport) (report.HubAnswer, error)
}

// Gate says who may pass. Its errors are those of this package or of package identity.
type Gate interface {
	identity.Counters
	// NodeKey returns the key a node enrolled with; [ErrUnknownNode] or [ErrRetired].
	NodeKey(node string) (ed25519.PublicKey, error)
	// Operator returns who holds a bearer token; [ErrUnauthorized].
	Operator(token string) (Operator, error)
	// Admit counts a request against the rate of its sender (a node name, or an address before it is known); what is
	// "enroll", "checkin", "upload", "operator" (who is not known), "person" or, for all that a hub relays, "relay". [ErrTooMany].
	Admit(what, sender string) error
}

// Operators serves people: reading.
type Operators interface {
	// Status returns the state of the fleet with at most problems problems.
	Status(ctx context.Context, problems int) (report.Status, error)
	// Nodes returns what matches, sorted by name.
	Nodes(ctx context.Context, q report.Query) ([]report.NodeStatus, error)
	Node(ctx context.Context, name string) (report.NodeDetail, error)
	// Traits returns the traits of the nodes that match; where is a condition over traits, "" is true for all.
	Traits(ctx context.Context, q report.Query, where string) ([]report.Traits, error)
	// Events returns what happened, newest first.
	Events(ctx context.Context, limit int) ([]report.Event, error)
}

// Admin serves people and controllers: changing.
type Admin interface {
	CreateToken(ctx context.Context, r TokenRequest) (TokenAnswer, error)
	ListTokens(ctx context.Context) ([]identity.Grant, error)
	RevokeToken(ctx context.Context, id string) error
	// Retire ends the identity of a node at once and for ever.
	Retire(ctx context.Context, node string) error
	// PutChannels takes note of all that a controller published, or could not; channels it does not name are gone.
	PutChannels(ctx context.Context, notes []report.ChannelNote) error
}

// GrantsRequest is all labels that the policies of a controller give to nodes, by branch.
type GrantsRequest struct {
	Grants []report.Grants `json:"grants"`
}

// Roster serves controllers: to whom secrets may be sealed, and which labels the policy gives to whom.
type Roster interface {
	// Recipients returns all nodes that are enrolled and not retired, sorted by name.
	Recipients(ctx context.Context) ([]report.Recipient, error)
	// PutGrants takes all labels that policies give to nodes; at most [report.MaxGrants].
	PutGrants(ctx context.Context, told []report.Grants) error
}

// Staff serves administrators.
type Staff interface {
	// AddOperator returns the token of a new operator. One of the same name is replaced: its token no longer works.
	AddOperator(ctx context.Context, o Operator) (string, error)
	// ListOperators is sorted by name.
	ListOperators(ctx context.Context) ([]Operator, error)
	// RemoveOperator makes the token of an operator useless at once; [ErrNotFound].
	RemoveOperator(ctx context.Context, name string) error
}
