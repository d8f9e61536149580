package registry

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/olareg/olareg/config"

	"vigo.dev/pkg/identity"
)

// A Caller is who sends a request. The zero value is somebody of whom nothing is known.
type Caller struct {
	Name string
	Role identity.Role
	all  bool // may push whatever it likes
}

// A Directory knows who may come in. Errors say for people why somebody may not; those that wrap [ErrLater] are no verdict.
type Directory interface {
	// Token returns who holds a token that somebody shows; address is where they are.
	Token(token, address string) (Caller, error)
	// Certificate returns who holds a client certificate, which the listener has verified.
	Certificate(cert *x509.Certificate) (Caller, error)
}

// ErrLater says that a Directory does not answer this caller now, such as one who guesses tokens.
var ErrLater = errors.New("too many attempts")

// An Incident is something to keep a record of: a person has pushed something, or somebody was refused for who they are.
type Incident struct {
	By      Caller
	Address string
	Request string // method and path
	Code    string // of the refusal, as the distribution specification has it; empty: it was done
	Text    string // what was pushed, or why it was refused
}

// authorize decides about every request that olareg understands.
func (r *Registry) authorize(repository string, access config.AuthAccess, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if inside(req) {
			r.fromInside(w, req, access, next)
			return
		}
		out := w.(*reply) // see ServeHTTP
		who, refused := r.identify(req, access)
		if refused == nil {
			refused = r.allow(who, access)
		}
		switch {
		case refused != nil:
			r.refuse(out, req, who, refused)
		case access == config.AuthWrite:
			r.push(out, req, repository, who, next)
		default:
			r.pull(out, req, next)
		}
	})
}

// fromInside answers this process, which may do everything there is room for.
func (r *Registry) fromInside(w http.ResponseWriter, req *http.Request, access config.AuthAccess, next http.Handler) {
	if access != config.AuthWrite || req.ContentLength <= 0 {
		next.ServeHTTP(w, req)
		return
	}
	parts := steps(req)
	ofBlob := parts[len(parts)-2] == "uploads"
	percent := int64(0)
	if req.Context().Value(content{}) != nil {
		percent = 100
	}
	var refused *refusal
	if ofBlob && req.ContentLength > r.MaxUpload {
		refused = r.tooLarge(r.MaxUpload)
	} else if !r.usage.take(req.ContentLength, percent) {
		refused = r.full(percent)
	}
	if refused == nil {
		next.ServeHTTP(w, req)
		return
	}
	r.metrics.refused.WithLabelValues(refused.reason).Inc()
	if ofBlob {
		r.cancel(req.Context(), req.URL.Path)
	}
	refused.write(w)
}

// identify finds out who sends a request. A certificate that says nothing here does not keep anybody from what everybody may
// do.
func (r *Registry) identify(req *http.Request, access config.AuthAccess) (Caller, *refusal) {
	unknown := func(err error) *refusal {
		if errors.Is(err, ErrLater) {
			return refuse(http.StatusTooManyRequests, codeTooMany, forBusy, "", "%s", err)
		}
		return refuse(http.StatusUnauthorized, codeUnauthorized, forCredential, "", "%s", err)
	}
	if token, ok := shown(req); ok {
		sum := sha256.Sum256([]byte(token))
		if r.Token != "" && subtle.ConstantTimeCompare(sum[:], r.token[:]) == 1 {
			return Caller{Name: "token", all: true}, nil
		}
		if r.Directory == nil {
			if access != config.AuthWrite { // what is for everybody; something in front may have looked
				return Caller{}, nil
			}
			return Caller{}, unknown(errors.New("the token or password is not that of this registry"))
		}
		who, err := r.Directory.Token(token, address(req))
		if err != nil {
			return Caller{}, unknown(err)
		}
		return who, nil
	}
	if r.Directory == nil || req.TLS == nil || len(req.TLS.VerifiedChains) == 0 {
		return Caller{}, nil
	}
	who, err := r.Directory.Certificate(req.TLS.PeerCertificates[0])
	if err != nil && (r.FleetOnly || access == config.AuthWrite) {
		return Caller{}, unknown(err)
	}
	return who, nil
}

// shown is the token that comes with a request: as bearer token, or as the password of any user.
func shown(req *http.Request) (string, bool) {
	header := req.Header.Get("Authorization")
	if token, ok := strings.CutPrefix(header, "Bearer "); ok {
		return token, true
	}
	_, password, ok := req.BasicAuth()
	return password, ok || header != ""
}

// allow says whether somebody may do something at all.
func (r *Registry) allow(who Caller, access config.AuthAccess) *refusal {
	const login = "show the token of an operator as password, or a client certificate of the fleet"
	nobody := who == Caller{}
	switch access {
	case config.AuthWrite:
		if nobody {
			return refuse(http.StatusUnauthorized, codeUnauthorized, forAnonymous, login, "pushing needs to know who does it")
		}
		if !who.all && !slices.Contains([]identity.Role{identity.RoleOperator, identity.RoleAdmin}, who.Role) {
			return refuse(http.StatusForbidden, codeDenied, forRole, "", "%s is a %s; pushing needs operator", who.Name, who.Role)
		}
	case config.AuthDelete:
		if !nobody || !r.FleetOnly {
			return refuse(http.StatusMethodNotAllowed, codeUnsupported, forDelete, "`vigo up` removes what is old by itself", "nobody deletes over the network")
		}
		fallthrough
	default:
		if nobody && r.FleetOnly {
			return refuse(http.StatusUnauthorized, codeUnauthorized, forAnonymous, login, "pulling is for nodes, hubs and operators of the fleet")
		}
	}
	return nil
}

// refuse sends somebody away, and has it recorded when it is for who they are. That a client has not said yet who it is, is
// how all of them begin.
func (r *Registry) refuse(w *reply, req *http.Request, who Caller, f *refusal) {
	if slices.Contains([]string{forCredential, forRole, forContent, forDelete}, f.reason) && f.code != codeNoUpload {
		r.tell(Incident{By: who, Address: address(req), Request: req.Method + " " + req.URL.Path, Code: f.code, Text: f.message})
	}
	w.refuse(f)
}

func (r *Registry) tell(i Incident) {
	if r.Listener != nil {
		r.Listener(i)
	}
}

// address is where a request comes from, without the port.
func address(req *http.Request) string {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		return req.RemoteAddr
	}
	return host
}
