package gitsource

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/plumbing/transport/ssh"

	"vigo.dev/pkg/fault"
)

// Auth is how to introduce ourselves to a git server, and how to know it. The zero value asks as nobody over HTTPS; over
// SSH it uses the SSH agent. SSH servers must be in KnownHosts, or in the files ssh itself uses.
type Auth struct {
	Username string // default "git"
	Password string // or an access token
	// KeyFile is a private key for SSH, in PEM or OpenSSH form, and Passphrase what it is encrypted with.
	KeyFile    string
	Passphrase string
	KnownHosts []string // files in the known_hosts format
	CABundle   []byte   // PEM, beside the system's
	ClientCert []byte   // PEM, for mutual TLS
	ClientKey  []byte   // PEM
}

func (a Auth) method(ep *transport.Endpoint) (transport.AuthMethod, error) {
	user := a.Username
	if user == "" {
		user = ep.User
	}
	if user == "" {
		user = "git"
	}
	switch ep.Protocol {
	case "http", "https":
		password := a.Password
		if password == "" {
			password = ep.Password
		}
		if password == "" {
			return nil, nil
		}
		if ep.Protocol == "http" && !loopback(ep.Host) {
			return nil, fault.WithHint(errors.New("opening git source: a password would be sent over plain http"), "use https")
		}
		return &http.BasicAuth{Username: user, Password: password}, nil
	case "ssh":
		return a.ssh(user)
	}
	return nil, nil
}

func (a Auth) ssh(user string) (transport.AuthMethod, error) {
	if a.KeyFile == "" && len(a.KnownHosts) == 0 {
		return nil, nil // go-git asks the SSH agent, and the usual known_hosts files
	}
	hosts, err := ssh.NewKnownHostsCallback(a.KnownHosts...)
	if err != nil {
		return nil, fmt.Errorf("reading known hosts: %w", err)
	}
	if a.KeyFile == "" {
		agent, err := ssh.NewSSHAgentAuth(user)
		if err != nil {
			return nil, fmt.Errorf("asking the ssh agent: %w", err)
		}
		agent.HostKeyCallback = hosts
		return agent, nil
	}
	keys, err := ssh.NewPublicKeysFromFile(user, a.KeyFile, a.Passphrase)
	if err != nil {
		return nil, fmt.Errorf("reading ssh key %s: %w", a.KeyFile, err)
	}
	keys.HostKeyCallback = hosts
	return keys, nil
}

func parseURL(raw string) (*transport.Endpoint, error) {
	if raw == "" {
		return nil, errors.New("opening git source: no URL is given")
	}
	ep, err := transport.NewEndpoint(raw)
	if err != nil {
		return nil, fmt.Errorf("opening git source: %w", err)
	}
	switch ep.Protocol {
	case "http", "https", "ssh", "file":
		return ep, nil
	case "git":
		return nil, fault.WithHint(errors.New("opening git source: git:// proves nothing about who answers"), "use https or ssh")
	}
	return nil, fmt.Errorf("opening git source: unknown kind of URL %q", ep.Protocol)
}

// PublicURL renders the URL of a repository without what is secret; it is empty for one on this machine.
func PublicURL(raw string) (string, error) {
	ep, err := parseURL(raw)
	if err != nil {
		return "", err
	}
	return publicURL(ep), nil
}

// publicURL renders an endpoint without what is secret or only means something on this machine.
func publicURL(ep *transport.Endpoint) string {
	if ep.Protocol == "file" {
		return ""
	}
	host := ep.Host
	if ep.Port != 0 {
		host = net.JoinHostPort(ep.Host, fmt.Sprint(ep.Port))
		if ep.Protocol == "https" && ep.Port == 443 || ep.Protocol == "http" && ep.Port == 80 || ep.Protocol == "ssh" && ep.Port == 22 {
			host = ep.Host
		}
	}
	u := url.URL{Scheme: ep.Protocol, Host: host, Path: "/" + strings.TrimPrefix(ep.Path, "/")}
	return u.String()
}

func loopback(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
