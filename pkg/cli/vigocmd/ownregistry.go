package vigocmd

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/up"
)

// asOperator fills in how an operator reaches the registry inside of the service that is configured: with the same token, and by
// the same authority. Another registry is left as it is.
func asOperator(env *cli.Env, store string, o *ocistore.Options) error {
	conf, host, err := ownService(env)
	if err != nil || conf.Token == "" {
		return err
	}
	there, _, _ := strings.Cut(store, "/")
	if there != host && there+":443" != host {
		return nil
	}
	secret, err := identity.ParseSecret(conf.Token)
	if err != nil || !secret.Operator {
		return fault.WithHint(errors.New("reading the operator configuration: the token in it is not one of an operator"), "`vigo login`, or `vigo operator token create`, makes one")
	}
	o.Username, o.Password, o.TLS = "operator", secret.Text(), api.ServiceTLS(secret.Fingerprint, env.Now)
	return nil
}

// ownRegistry names the repository of bundles inside of the service that is configured.
func ownRegistry(env *cli.Env) (string, error) {
	conf, host, err := ownService(env)
	if err == nil && conf.Token == "" {
		err = cli.UsageError(fault.WithHint(errors.New("no registry is named"), "--registry names one; without it, it is that inside of the `vigo up` of which you are an operator (VIGO_CONFIG)"))
	}
	return host + "/" + up.Repository, err
}

// ownService is the operator configuration, and host and port of the service; the zero value when there is none that may be
// read.
func ownService(env *cli.Env) (operatorConfig, string, error) {
	conf, err := readOperatorConfig(new(connection).existing(env))
	if errors.Is(err, errNoConfig) || errors.Is(err, fs.ErrPermission) {
		return operatorConfig{}, "", nil
	}
	if err != nil {
		return operatorConfig{}, "", err
	}
	u, err := url.Parse(conf.Server)
	if err != nil {
		return operatorConfig{}, "", fmt.Errorf("reading the operator configuration: %w", err)
	}
	host := u.Host
	if u.Port() == "" && host != "" {
		host += ":443"
	}
	return conf, host, nil
}
