package ocistore_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/machine"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/ocistore/registry"
)

const (
	user     = "agent"
	password = "correct-horse-battery"
)

// guard asks for a user before it lets anybody pull, as a registry with htpasswd does.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, ok := r.BasicAuth(); !ok || u != user || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="vigo"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// tokens is a registry whose users get a token from a service beside it, as GitHub's and Harbor's do.
func tokens(t *testing.T, next http.Handler) (http.Handler, *atomic.Int32) {
	t.Helper()
	const token = "eyJ0b2tlbiI6IjEifQ"
	var given atomic.Int32
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, p, ok := r.BasicAuth()
		if !ok || u != user || p != password || r.FormValue("service") != "registry" || r.FormValue("scope") != "repository:fleet/bundles:pull" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		given.Add(1)
		fmt.Fprintf(w, `{"token":%q}`, token)
	}))
	t.Cleanup(service.Close)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="registry",scope="repository:fleet/bundles:pull"`, service.URL))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	}), &given
}

// configure writes a config.json.
func configure(t *testing.T, format string, args ...any) ocistore.Access {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	write(t, path, fmt.Sprintf(format, args...), 0o600)
	return ocistore.Access{Config: path}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode)); err != nil {
		t.Fatal(err)
	}
}

func hostOf(ref string) string { return ref[:strings.IndexByte(ref, '/')] }

func inBase64(password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

func TestCredentialsComeFromTheConfigurationOfDocker(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, registry.Options{})
	p := publish(t, inside(t, r))
	withTokens, given := tokens(t, r)
	for name, h := range map[string]http.Handler{"basic": guard(r), "tokens": withTokens} {
		ref := serve(t, h)
		good := configure(t, `{"auths":{%q:{"auth":%q}}}`, hostOf(ref), inBase64(password))
		if _, err := p.follow(t.Context(), open(t, ref, ocistore.Options{Access: good})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for who, access := range map[string]ocistore.Access{
			"nobody":         {},
			"another host":   configure(t, `{"auths":{"registry.example.com":{"auth":%q}}}`, inBase64(password)),
			"wrong password": configure(t, `{"auths":{%q:{"auth":%q}}}`, hostOf(ref), inBase64("wrong-"+password)),
		} {
			_, err := p.follow(t.Context(), open(t, ref, ocistore.Options{Access: access}))
			if !errors.Is(err, ocistore.ErrDenied) || strings.Contains(err.Error(), password) {
				t.Errorf("%s, %s: %v", name, who, err)
			}
		}
	}
	if n := given.Load(); n != 1 {
		t.Errorf("%d tokens were asked for, want one for all requests", n)
	}
}

// A password that is changed in the file is used without a restart.
func TestAConfigurationThatChangesIsReadAgain(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, registry.Options{})
	p := publish(t, inside(t, r))
	ref := serve(t, guard(r))
	access := configure(t, `{}`)
	src := open(t, ref, ocistore.Options{Access: access})
	if _, err := p.follow(t.Context(), src); !errors.Is(err, ocistore.ErrDenied) {
		t.Errorf("without a password: %v", err)
	}
	write(t, access.Config, fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, hostOf(ref), inBase64(password)), 0o600)
	if _, err := p.follow(t.Context(), src); err != nil {
		t.Error(err)
	}
}

func TestAConfigurationThatCannotBeReadIsToldAtOnceAndNotQuoted(t *testing.T) {
	t.Parallel()
	for name, access := range map[string]ocistore.Access{
		"is not there": {Config: filepath.Join(t.TempDir(), "nowhere.json")},
		"is no JSON":   configure(t, `{"auths": %s`, password),
	} {
		_, err := ocistore.Open(t.Context(), "registry.example.com/fleet/bundles", ocistore.Options{Access: access})
		if err == nil || !strings.Contains(err.Error(), access.Config) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCredentialsComeFromHelpers(t *testing.T) {
	bin, r := t.TempDir(), newRegistry(t, registry.Options{})
	p := publish(t, inside(t, r))
	ref := serve(t, guard(r))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("CLOUD_PROFILE", "lab") // what helpers of clouds look at
	m, err := machine.New(machine.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	helper := func(name, script string) {
		write(t, filepath.Join(bin, "docker-credential-"+name), "#!/bin/sh\n"+script, 0o755)
	}
	helper("good", fmt.Sprintf(`read host; [ "$1 $host $CLOUD_PROFILE" = "get %s lab" ] && echo '{"ServerURL":"x","Username":%q,"Secret":%q}'`, hostOf(ref), user, password))
	helper("empty", `echo "credentials not found in native keychain"; exit 1`)
	helper("broken", fmt.Sprintf(`echo '%s'; echo "no session: log in first" >&2; exit 3`, password))
	helper("chatty", fmt.Sprintf(`echo 'here you are: %s'`, password))
	for name, c := range map[string]struct{ config, want string }{
		"for the host":  {fmt.Sprintf(`{"credHelpers":{%q:"good"},"credsStore":"broken"}`, hostOf(ref)), ""},
		"for all":       {`{"credsStore":"good"}`, ""},
		"knows nothing": {`{"credsStore":"empty"}`, "the registry does not allow it"},
		"fails":         {`{"credsStore":"broken"}`, "docker-credential-broken for the credentials of " + hostOf(ref) + ": exit status 3: no session: log in first"},
		"no JSON":       {`{"credsStore":"chatty"}`, "docker-credential-chatty for the credentials of " + hostOf(ref) + ": it does not answer with JSON"},
		"not there":     {`{"credsStore":"nowhere"}`, "docker-credential-nowhere"},
		"a path":        {`{"credsStore":"../../bin/sh"}`, "the name of a helper is no path"},
	} {
		access := configure(t, "%s", c.config)
		access.Run = m.Host().Run.Run
		_, err := p.follow(t.Context(), open(t, ref, ocistore.Options{Access: access}))
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		case err != nil && strings.Contains(err.Error(), password):
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
}

// A registry of a site: its certificate is from the site's authority, and it lets in who has one from there too.
func TestCertificatesComeFromAFolderLikeThatOfDocker(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, registry.Options{})
	p := publish(t, inside(t, r))
	ca, err := identity.OpenCA(filepath.Join(t.TempDir(), "ca"), "site", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(r)
	conf := ca.NewServer([]string{"127.0.0.1"}, time.Now).TLS()
	conf.ClientAuth = tls.RequireAndVerifyClientCert
	server.Listener = tls.NewListener(server.Listener, conf)
	server.Start()
	t.Cleanup(server.Close)
	ref := server.Listener.Addr().String() + "/fleet/bundles"
	certs := t.TempDir()
	access, dir := ocistore.Access{Certs: certs}, filepath.Join(certs, hostOf(ref))
	if _, err := p.follow(t.Context(), open(t, ref, ocistore.Options{Access: access, CAs: x509.NewCertPool()})); err == nil {
		t.Error("a certificate of an authority that nobody named was accepted")
	}
	write(t, filepath.Join(dir, "ca.crt"), string(ca.CertPEM()), 0o644)
	if _, err := p.follow(t.Context(), open(t, ref, ocistore.Options{Access: access})); err == nil {
		t.Error("it was let in without a certificate")
	}
	cert, key := clientCertificate(t, ca)
	write(t, filepath.Join(dir, "client.cert"), cert, 0o644)
	if _, err := ocistore.Open(t.Context(), ref, ocistore.Options{Access: access}); err == nil || !strings.Contains(err.Error(), "client.key") {
		t.Errorf("a certificate without its key: %v", err)
	}
	write(t, filepath.Join(dir, "client.key"), key, 0o600)
	if _, err := p.follow(t.Context(), open(t, ref, ocistore.Options{Access: access})); err != nil {
		t.Error(err)
	}
}

func clientCertificate(t *testing.T, ca *identity.CA) (cert, key string) {
	t.Helper()
	node, err := identity.NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := node.CSR("mirror")
	if err != nil {
		t.Fatal(err)
	}
	chain, _, err := ca.IssueClient(csr, identity.Client{Role: identity.RoleNode, Name: "mirror"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pemKey, err := node.PEM()
	if err != nil {
		t.Fatal(err)
	}
	return string(chain), string(pemKey)
}

// What a registry that is reached over TLS asks for is not sent where everybody may read it.
func TestCredentialsAreNotSentWithoutTLS(t *testing.T) {
	t.Parallel()
	var told atomic.Bool
	spy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); ok {
			told.Store(true)
		}
	}))
	t.Cleanup(spy.Close)
	for name, answer := range map[string]http.HandlerFunc{
		"its token service": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="registry"`, spy.URL))
			w.WriteHeader(http.StatusUnauthorized)
		},
		"where it sends us": guard(http.RedirectHandler(spy.URL, http.StatusTemporaryRedirect)).ServeHTTP,
	} {
		server := httptest.NewTLSServer(answer)
		t.Cleanup(server.Close)
		roots := x509.NewCertPool()
		roots.AddCert(server.Certificate())
		src := open(t, strings.TrimPrefix(server.URL, "https://")+"/fleet/bundles", ocistore.Options{CAs: roots, Username: user, Password: password})
		if _, err := src.Resolve(t.Context(), "channel-main"); err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", name, err)
		}
		if told.Load() {
			t.Fatalf("%s: somebody who reads along was told the password", name)
		}
	}
}

func TestWhatIsNoCertificateIsTold(t *testing.T) {
	t.Parallel()
	certs := t.TempDir()
	write(t, filepath.Join(certs, "registry.example.com:5000", "ca.crt"), string(pem.EncodeToMemory(&pem.Block{Type: "NOTHING"})), 0o644)
	_, err := ocistore.Open(t.Context(), "registry.example.com:5000/fleet/bundles", ocistore.Options{Access: ocistore.Access{Certs: certs}})
	if err == nil || !strings.Contains(err.Error(), "ca.crt holds no certificate") {
		t.Errorf("Open: %v", err)
	}
}
