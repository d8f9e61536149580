package ocistore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"vigo.dev/pkg/excerpt"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

const (
	// helperTimeout bounds one start of a credential helper, which may have to ask a cloud.
	helperTimeout = 20 * time.Second
	maxAccessFile = 1 << 20 // bytes of config.json
	helperPrefix  = "docker-credential-"
	helperNothing = "credentials not found in native keychain" // what helpers say by convention, on standard output
	helperToken   = "<token>"                                  // user name that stands for an identity token
)

// Access says where the credentials and certificates for registries are, in the form of docker that other clients read too.
// The zero value has none.
type Access struct {
	// Config is a config.json: auths, credsStore and credHelpers. It is read whenever a registry wants to know who asks, so that a
	// password which is changed in it is used at once. Empty: none; one that is named must be there.
	Config string
	// Certs is a folder like /etc/docker/certs.d: in HOST[:PORT], *.crt are authorities to accept beside those of the system, and
	// NAME.cert with NAME.key a client certificate, which is read for every connection. Empty, or nothing in it: none.
	Certs string
	// Run starts credential helpers; nil: a configuration that names one is an error.
	Run func(context.Context, host.Command) (host.Result, error)
}

// check says early what would fail at every request.
func (a Access) check() error {
	if a.Config == "" {
		return nil
	}
	_, err := a.helper("")
	return err
}

// credential implements [auth.CredentialFunc]: it fails rather than to go on as nobody when what was configured cannot be read.
func (a Access) credential(ctx context.Context, hostport string) (auth.Credential, error) {
	address := credentials.ServerAddressFromHostname(hostport)
	name, err := a.helper(address)
	if err != nil {
		return auth.EmptyCredential, err
	}
	if name != "" {
		return a.ask(ctx, name, address)
	}
	file, err := credentials.NewFileStore(a.Config)
	if err != nil {
		return auth.EmptyCredential, fmt.Errorf("reading the credentials for registries in %s: %w", a.Config, err)
	}
	cred, err := file.Get(ctx, address)
	if err != nil {
		return auth.EmptyCredential, fmt.Errorf("reading the credentials for %s in %s: %w", address, a.Config, err)
	}
	return cred, nil
}

// helper returns the name of the credential helper that is configured for a registry; empty: none.
func (a Access) helper(address string) (string, error) {
	const doing = "reading the credentials for registries"
	f, err := os.Open(a.Config)
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	defer f.Close()
	var config struct {
		Store   string            `json:"credsStore"`
		Helpers map[string]string `json:"credHelpers"`
	}
	data, err := io.ReadAll(io.LimitReader(f, maxAccessFile))
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	if err := json.Unmarshal(data, &config); err != nil {
		// The error of the parser is not passed on: it may quote what is secret.
		return "", fault.WithHint(fmt.Errorf("%s: %s is not JSON", doing, a.Config), "it is the config.json that `docker login` and others write")
	}
	if name := config.Helpers[address]; name != "" {
		return name, nil
	}
	return config.Store, nil
}

// ask starts a credential helper. What it prints is never part of an error, for it may be the secret; but for what it says on
// standard error.
func (a Access) ask(ctx context.Context, name, address string) (auth.Credential, error) {
	program := helperPrefix + name
	none := auth.EmptyCredential
	failed := func(err error) error {
		return fmt.Errorf("asking %s for the credentials of %s: %w", program, address, err)
	}
	if strings.ContainsAny(name, "/\x00") {
		return none, failed(errors.New("the name of a helper is no path"))
	}
	if a.Run == nil {
		return none, failed(errors.New("programs cannot be started here"))
	}
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	res, err := a.Run(ctx, host.Command{Argv: []string{onPath(program), "get"}, Env: os.Environ(), Stdin: strings.NewReader(address)})
	if err != nil {
		return none, fault.WithHint(failed(err), "install the helper, or name another in "+a.Config)
	}
	if res.Code != 0 {
		if strings.TrimSpace(string(res.Stdout)) == helperNothing {
			return none, nil
		}
		return none, failed(fmt.Errorf("exit status %d: %s", res.Code, excerpt.Said(res.Stderr)))
	}
	var answer struct{ Username, Secret string }
	if json.Unmarshal(res.Stdout, &answer) != nil {
		return none, failed(errors.New("it does not answer with JSON"))
	}
	if answer.Username == helperToken {
		return auth.Credential{RefreshToken: answer.Secret}, nil
	}
	return auth.Credential{Username: answer.Username, Password: answer.Secret}, nil
}

// onPath finds a program where the PATH of this process leads: helpers of clouds are seldom in the folders of the system. What is
// not found is left to who starts it.
func onPath(program string) string {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		full := filepath.Join(dir, program)
		if info, err := os.Stat(full); err == nil && filepath.IsAbs(dir) && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return full
		}
	}
	return program
}

// Certificates returns the authorities to accept for a registry beside others, nil if the folder has none, and what gives
// the client certificate of a connection, nil if there is none.
func (a Access) Certificates(hostport string) (*x509.CertPool, func() (*tls.Certificate, error), error) {
	pool := x509.NewCertPool()
	some, client, err := a.certificates(hostport, pool)
	if !some {
		pool = nil
	}
	return pool, client, err
}

// certificates adds the authorities for a registry to a pool, and says whether there were some.
func (a Access) certificates(hostport string, pool *x509.CertPool) (some bool, client func() (*tls.Certificate, error), err error) {
	const doing = "reading the certificates for registries"
	if a.Certs == "" {
		return false, nil, nil
	}
	dir := filepath.Join(a.Certs, filepath.Base(hostport))
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, fmt.Errorf("%s: %w", doing, err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch filepath.Ext(path) {
		case ".crt":
			pem, err := os.ReadFile(path)
			if err != nil {
				return false, nil, fmt.Errorf("%s: %w", doing, err)
			}
			if !pool.AppendCertsFromPEM(pem) {
				return false, nil, fmt.Errorf("%s: %s holds no certificate", doing, path)
			}
			some = true
		case ".cert":
			client = keyPair(path, hostport)
			if _, err := client(); err != nil {
				return false, nil, err
			}
		}
	}
	return some, client, nil
}

// keyPair reads a client certificate when it is asked for, so that one that was renewed is used.
func keyPair(path, hostport string) func() (*tls.Certificate, error) {
	return func() (*tls.Certificate, error) {
		cert, err := tls.LoadX509KeyPair(path, strings.TrimSuffix(path, ".cert")+".key")
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate for %s: %w", hostport, err)
		}
		return &cert, nil
	}
}
