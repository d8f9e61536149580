package resources

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// kubeconfig is the file of kubectl: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/.
type kubeconfig struct {
	CurrentContext string `yaml:"current-context"`
	Contexts       []struct {
		Name    string
		Context struct{ Cluster, User string }
	}
	Clusters []struct {
		Name    string
		Cluster kubeCluster
	}
	Users []struct {
		Name string
		User kubeUser
	}
}

type kubeCluster struct {
	Server     string
	CA         string `yaml:"certificate-authority"`
	CAData     string `yaml:"certificate-authority-data"`
	ServerName string `yaml:"tls-server-name"`
	Insecure   bool   `yaml:"insecure-skip-tls-verify"`
}

type kubeUser struct {
	Cert      string `yaml:"client-certificate"`
	CertData  string `yaml:"client-certificate-data"`
	Key       string `yaml:"client-key"`
	KeyData   string `yaml:"client-key-data"`
	Token     string
	TokenFile string `yaml:"tokenFile"`
	Exec      any
	Provider  any `yaml:"auth-provider"`
}

// checkServer says what is wrong with the address of a cluster: no token goes in clear.
func checkServer(server string) error {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return errors.New("server: want an https URL such as https://10.0.0.1:6443")
	}
	return nil
}

// cluster reads where the cluster is, and who asks.
func (k *KubernetesManifest) cluster(h *host.Host) (*kubernetes, error) {
	c := &kubernetes{h: h, header: map[string]string{}, kinds: map[string]map[string]kubeKind{}}
	if k.Server != "" {
		c.server = strings.TrimRight(k.Server, "/")
		if k.Token != "" {
			c.header["Authorization"] = "Bearer " + k.Token
		}
		var err error
		if k.CA != "" {
			c.tls.CA, err = h.FS.Read(k.CA, maxEdit)
		}
		return c, err
	}
	name := orWord(k.Kubeconfig, adminConf)
	text, err := h.FS.Read(name, maxEdit)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	var f kubeconfig
	if err := yaml.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("reading the kubeconfig %s: it is not the YAML of one", name) // the error of YAML quotes it
	}
	cluster, user, err := f.of(orWord(k.Context, f.CurrentContext))
	if err == nil {
		err = c.as(kubeFiles{h, path.Dir(name)}, cluster, user)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig %s: %w", name, err)
	}
	return c, nil
}

// of returns what a context is made of.
func (f kubeconfig) of(context string) (cluster kubeCluster, user kubeUser, err error) {
	for _, c := range f.Contexts {
		if c.Name != context {
			continue
		}
		found := 0
		for _, one := range f.Clusters {
			if one.Name == c.Context.Cluster {
				cluster, found = one.Cluster, found+1
			}
		}
		for _, one := range f.Users {
			if one.Name == c.Context.User {
				user, found = one.User, found+1
			}
		}
		if found != 2 {
			return cluster, user, fmt.Errorf("the context %q leads to no cluster, or no user", context)
		}
		return cluster, user, nil
	}
	return cluster, user, fmt.Errorf("there is no context %q", context)
}

// as makes the calls those of a user.
func (c *kubernetes) as(files kubeFiles, cluster kubeCluster, user kubeUser) (err error) {
	if err := checkServer(cluster.Server); err != nil {
		return err
	}
	c.server = strings.TrimRight(cluster.Server, "/")
	c.tls.ServerName, c.tls.Insecure = cluster.ServerName, cluster.Insecure
	if c.tls.CA, err = files.read("certificate-authority", cluster.CA, cluster.CAData); err != nil {
		return err
	}
	if c.tls.Cert, err = files.read("client-certificate", user.Cert, user.CertData); err != nil {
		return err
	}
	if c.tls.Key, err = files.read("client-key", user.Key, user.KeyData); err != nil {
		return err
	}
	token := user.Token
	if user.TokenFile != "" && token == "" {
		text, err := files.read("tokenFile", user.TokenFile, "")
		if err != nil {
			return err
		}
		token = strings.TrimSpace(string(text))
	}
	switch {
	case token != "":
		c.header["Authorization"] = "Bearer " + token
	case len(c.tls.Cert) > 0:
	case user.Exec != nil || user.Provider != nil:
		return fault.WithHint(errors.New("its user is made known by a program"), "use one with a client certificate or a token")
	default:
		return errors.New("its user has neither a client certificate nor a token")
	}
	return nil
}

// kubeFiles reads what a kubeconfig refers to.
type kubeFiles struct {
	h   *host.Host
	dir string
}

// read returns what is given in base64, or else in a file.
func (f kubeFiles) read(key, file, data string) ([]byte, error) {
	switch {
	case data != "":
		text, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return nil, fmt.Errorf("%s-data: it is not base64", key)
		}
		return text, nil
	case file == "":
		return nil, nil
	case !path.IsAbs(file):
		file = path.Join(f.dir, file)
	}
	text, err := f.h.FS.Read(path.Clean(file), maxEdit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return text, nil
}
