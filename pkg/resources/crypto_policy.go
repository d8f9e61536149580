package resources

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// CryptoPolicy is which algorithms the TLS, SSH and Kerberos of the machine may use, crypto-policies(7), as RedHat and its
// relatives have it. A machine has one policy. Programs that run go on with the old one until they are started anew.
//
//	resources:
//	  - crypto_policy: DEFAULT:NO-SHA1
type CryptoPolicy struct {
	// Name of the policy: LEGACY, DEFAULT, FUTURE, FIPS or one of your own, with modules behind colons.
	Name string `vigo:"identity"`
}

var (
	_ resource.Validator = (*CryptoPolicy)(nil)
	_ resource.Requirer  = (*CryptoPolicy)(nil)

	cryptoName = regexp.MustCompile(`^[A-Z0-9_.-]+(:[A-Z0-9_.-]+)*$`)
)

// Validate implements [resource.Validator].
func (c *CryptoPolicy) Validate() error {
	if !cryptoName.MatchString(c.Name) || strings.HasPrefix(c.Name, "-") {
		return fault.WithHint(fmt.Errorf("%q is not the name of a policy", c.Name), "names are in capital letters, such as DEFAULT:NO-SHA1")
	}
	return nil
}

// Requires implements [resource.Requirer].
func (c *CryptoPolicy) Requires() []resource.ID {
	return []resource.ID{{Type: "package", Name: "crypto-policies-scripts"}, {Type: "package", Name: "crypto-policies"}}
}

// Plan implements [resource.Resource].
func (c *CryptoPolicy) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	config, err := firstPolicy(h, "/etc/crypto-policies/config")
	if errors.Is(err, host.ErrNotFound) {
		return p, fault.WithHint(fmt.Errorf("finding the policy of the machine: %w", err), "only RedHat and its relatives have one; declare the package crypto-policies")
	}
	if err != nil {
		return p, err
	}
	current, err := firstPolicy(h, "/etc/crypto-policies/state/current")
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return p, err
	}
	if config == c.Name && current == c.Name {
		return p, nil
	}
	from := current
	if current == "" || current == c.Name {
		from = config
	}
	p.Do(func(ctx context.Context) error {
		res, err := h.Run.Run(ctx, host.Command{Argv: []string{"update-crypto-policies", "--set", c.Name}})
		if err == nil && res.Code != 0 {
			err = fmt.Errorf("update-crypto-policies ended with status %d%s", res.Code, lastWords(append(res.Stdout, res.Stderr...)))
		}
		return err
	}, change.Of("policy", from, c.Name))
	return p, nil
}

// firstPolicy reads the name in a file: the first line that is no comment.
func firstPolicy(h *host.Host, file string) (string, error) {
	data, err := h.FS.Read(file, 64<<10)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) != "" {
			return strings.TrimSpace(line), nil
		}
	}
	return "", nil
}
