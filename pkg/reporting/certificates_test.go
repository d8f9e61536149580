package reporting

import (
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
)

// certified is the client of an operator with a certificate that an admin had made.
func (r *rig) certified(t *testing.T, url string, admin *api.OperatorClient, req api.CertificateRequest) (*api.OperatorClient, identity.NodeKey, api.CertificateAnswer) {
	t.Helper()
	key, err := identity.NewNodeKey()
	must(t, err)
	csr, err := key.CSR(req.Operator)
	must(t, err)
	req.CSR = string(csr)
	answer, err := admin.IssueCertificate(t.Context(), req)
	must(t, err)
	return r.showing(t, url, key, answer.Certificate), key, answer
}

func (r *rig) showing(t *testing.T, url string, key identity.NodeKey, chain string) *api.OperatorClient {
	t.Helper()
	cert, err := key.Certificate([]byte(chain))
	must(t, err)
	c, err := api.NewCertificateClient(url, cert, r.ca.Fingerprint(), time.Now)
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

// A certificate opens what its role may until it ends or is revoked, on connections that are open too; also over a restart.
func TestOperatorCertificates(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	server := r.listen(t)
	admin := r.operator(t, server.URL, "root", identity.RoleAdmin)
	jane, key, first := r.certified(t, server.URL, admin, api.CertificateRequest{Operator: "jane", Role: identity.RoleOperator, Life: 48 * time.Hour, Note: "laptop"})
	me, err := jane.Whoami(t.Context())
	if err != nil || me.Name != "jane" || me.Role != identity.RoleOperator || me.Token.ID != first.ID || me.Token.Kind != api.KindCertificate || me.Token.Note != "laptop" {
		t.Fatalf("%+v %+v, %v", me, me.Token, err)
	}
	_, err = jane.CreateToken(t.Context(), api.TokenRequest{})
	must(t, err)
	_, err = jane.ListOperators(t.Context())
	refusedAs(t, "more than its role", err, api.ErrForbidden)
	_, err = jane.CreateAccess(t.Context(), api.AccessRequest{Life: 49 * time.Hour})
	refusedAs(t, "a token that lives longer", err, api.ErrForbidden)

	const later = 5 * time.Minute // the connection has the clock of the machine
	r.pass(later)
	csr, err := key.CSR("jane")
	must(t, err)
	second, err := jane.RenewCertificate(t.Context(), string(csr))
	must(t, err)
	if second.ID != first.ID || second.Expires.Sub(first.Expires) < later-time.Second {
		t.Errorf("renewed: %+v after %+v", second.AccessToken, first.AccessToken)
	}
	other, err := identity.NewNodeKey()
	must(t, err)
	for name, k := range map[string]identity.NodeKey{"jane": other, "root": key} {
		csr, err := k.CSR(name)
		must(t, err)
		_, err = jane.RenewCertificate(t.Context(), string(csr))
		refusedAs(t, "renewing for another key or name", err, api.ErrBadRequest)
	}
	_, err = admin.RenewCertificate(t.Context(), string(csr))
	refusedAs(t, "renewing with a token", err, api.ErrBadRequest)

	must(t, r.RevokeAccess(t.Context(), first.ID))
	_, err = jane.Status(t.Context(), 1)
	refusedAs(t, "revoked", err, api.ErrRevoked)
	_, err = r.showing(t, server.URL, key, second.Certificate).Status(t.Context(), 1)
	refusedAs(t, "revoked, the renewed one", err, api.ErrRevoked)
	entries, err := r.DB.Audit(t.Context(), audit.Query{Limit: 100})
	must(t, err)
	acts := map[string]int{}
	for _, e := range entries {
		acts[e.Actor+" "+e.Act+" "+e.Object]++
	}
	for _, act := range []string{"root operator.added jane", "root access.created jane", "jane access.renewed jane"} {
		if acts[act] != 1 {
			t.Errorf("%q is recorded %d times in %v", act, acts[act], acts)
		}
	}
}

// The role is what the service keeps, and a certificate of the authority that the service does not keep is nobody's.
func TestCertificateRoleIsLookedUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	server := r.listen(t)
	admin := r.operator(t, server.URL, "root", identity.RoleAdmin)
	viewer, key, _ := r.certified(t, server.URL, admin, api.CertificateRequest{Operator: "joe", Role: identity.RoleViewer, Life: time.Hour})
	_, err := viewer.Status(t.Context(), 1)
	must(t, err)
	forge := func(k identity.NodeKey, name string, role identity.Role) *api.OperatorClient {
		csr, err := k.CSR(name)
		must(t, err)
		chain, _, err := r.ca.IssueClient(csr, identity.Client{Role: role, Name: name}, r.Now())
		must(t, err)
		return r.showing(t, server.URL, k, string(chain))
	}
	_, err = forge(key, "joe", identity.RoleAdmin).ListOperators(t.Context())
	refusedAs(t, "a certificate that says more than the register", err, api.ErrForbidden)
	stranger, err := identity.NewNodeKey()
	must(t, err)
	for _, name := range []string{"joe", "root", "nobody"} {
		_, err = forge(stranger, name, identity.RoleAdmin).Status(t.Context(), 1)
		refusedAs(t, "a certificate that was never issued here", err, api.ErrRevoked)
	}
	_, err = forge(key, "root", identity.RoleAdmin).Status(t.Context(), 1)
	refusedAs(t, "the key of somebody else", err, api.ErrRevoked)
	for _, role := range []identity.Role{identity.RoleNode, identity.RoleHub, identity.RoleService} {
		_, err = forge(key, "joe", role).Status(t.Context(), 1)
		refusedAs(t, string(role)+" as an operator", err, api.ErrWrongNode)
	}
	_, err = r.AddOperator(t.Context(), api.Operator{Name: "joe", Role: identity.RoleOperator})
	must(t, err)
	_, err = viewer.Status(t.Context(), 1)
	refusedAs(t, "a certificate of what joe was before", err, api.ErrRevoked)
}

// A certificate of an operator is no node's, on any route of nodes and hubs, and says so to nobody as a server.
func TestCertificateIsNoNode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	server := r.listen(t)
	admin := r.operator(t, server.URL, "root", identity.RoleAdmin)
	nodeKey := r.join(t, "web-1")
	_, key, answer := r.certified(t, server.URL, admin, api.CertificateRequest{Operator: "web-1", Role: identity.RoleAdmin, Life: time.Hour})
	cert, err := key.Certificate([]byte(answer.Certificate))
	must(t, err)
	for _, k := range []identity.NodeKey{key, nodeKey} {
		agent, err := api.NewAgentClient(api.AgentOptions{URL: server.URL, Node: "web-1", Roots: r.ca.Pool(), Key: k, Counter: &counter{},
			Certificate: func() (*tls.Certificate, error) { return &cert, nil }, Now: time.Now})
		must(t, err)
		_, err = agent.Renew(t.Context())
		refusedAs(t, "an operator as a node", err, api.ErrWrongNode)
		agent.Close()
	}
	if identity.OfHub(cert.Leaf) || cert.Leaf.VerifyHostname(identity.ServerName) == nil {
		t.Error("it is good for a server")
	}
}

// A certificate that runs out opens nothing on a connection that is still open.
func TestCertificateEndsOnAnOpenConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	server := r.listen(t)
	admin := r.operator(t, server.URL, "root", identity.RoleAdmin)
	jane, _, answer := r.certified(t, server.URL, admin, api.CertificateRequest{Operator: "jane", Role: identity.RoleViewer, Life: time.Hour})
	_, err := jane.Status(t.Context(), 1)
	must(t, err)
	r.set(answer.Expires)
	_, err = jane.Status(t.Context(), 1)
	refusedAs(t, "past its end", err, api.ErrUnauthorized)
	if said, ok := err.(*api.Error); !ok || said.Status != http.StatusUnauthorized || said.Advice == "" {
		t.Errorf("%#v", err)
	}
}

// What is asked for is bounded by who asks: one's own role, one's own time, one's own name.
func TestCertificateDoesNotGrow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url := r.listen(t).URL
	jane := r.operator(t, url, "jane", identity.RoleOperator)
	admin := r.operator(t, url, "root", identity.RoleAdmin)
	key, err := identity.NewNodeKey()
	must(t, err)
	for name, c := range map[string]struct {
		as      *api.OperatorClient
		req     api.CertificateRequest
		subject string
		want    *api.Error
	}{
		"a higher role":       {jane, api.CertificateRequest{Role: identity.RoleAdmin, Life: time.Hour}, "jane", api.ErrForbidden},
		"of somebody else":    {jane, api.CertificateRequest{Operator: "root", Life: time.Hour}, "root", api.ErrForbidden},
		"somebody new":        {jane, api.CertificateRequest{Operator: "joe", Role: identity.RoleViewer, Life: time.Hour}, "joe", api.ErrForbidden},
		"no role, nobody":     {admin, api.CertificateRequest{Operator: "joe", Life: time.Hour}, "joe", api.ErrNotFound},
		"the role of a node":  {admin, api.CertificateRequest{Operator: "joe", Role: identity.RoleNode, Life: time.Hour}, "joe", api.ErrBadRequest},
		"a name from outside": {admin, api.CertificateRequest{Operator: "oidc:joe", Role: identity.RoleViewer, Life: time.Hour}, "joe", api.ErrBadRequest},
		"too long":            {admin, api.CertificateRequest{Operator: "jane", Life: identity.OperatorLife + time.Second}, "jane", api.ErrBadRequest},
		"no time":             {admin, api.CertificateRequest{Operator: "jane"}, "jane", api.ErrBadRequest},
		"another subject":     {admin, api.CertificateRequest{Operator: "jane", Life: time.Hour}, "root", api.ErrBadRequest},
	} {
		csr, err := key.CSR(c.subject)
		must(t, err)
		c.req.CSR = string(csr)
		_, err = c.as.IssueCertificate(t.Context(), c.req)
		refusedAs(t, name, err, c.want)
	}
	csr, err := key.CSR("jane")
	must(t, err)
	_, err = jane.IssueCertificate(t.Context(), api.CertificateRequest{CSR: string(csr), Life: time.Hour})
	must(t, err)
	_, err = admin.IssueCertificate(t.Context(), api.CertificateRequest{CSR: string(csr), Operator: "jane", Role: identity.RoleViewer, Life: time.Hour})
	refusedAs(t, "the same key twice", err, api.ErrBadRequest)
}
