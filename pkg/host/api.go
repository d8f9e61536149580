package host

import "context"

// API calls services that answer over HTTP: a container engine behind its socket, a cluster over TLS.
type API interface {
	// Call sends a request and reads the whole answer. An answer with any status is no error; ErrNotFound if there is no
	// socket of that name. Redirects are not followed.
	Call(ctx context.Context, c Call) (Answer, error)
}

// A Call is a request to a service.
type Call struct {
	Socket string // path of the unix socket that the service listens on; without it, the host of the URL is called
	Method string // GET if empty; every other method counts as a change, unless DryRun says otherwise
	DryRun bool   // the request has the service change nothing
	URL    string // http or https; with a socket, its host means nothing
	Header map[string]string
	Body   []byte
	Limit  int64 // bytes of the answer, more is an error; 16 MiB if 0
	TLS    TLS
}

// TLS says how a service and its caller prove who they are. Texts are in PEM.
type TLS struct {
	CA         []byte // authorities that may vouch for the service; those of the machine if empty
	Cert, Key  []byte // of the caller; none if empty
	ServerName string // in the certificate of the service; the host of the URL if empty
	Insecure   bool   // believe whoever answers
}

// An Answer is what a service said.
type Answer struct {
	Status int
	Body   []byte
}
