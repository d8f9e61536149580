package resources

import (
	"context"
	"errors"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// onlyNft says which of the keys that are given mean nothing but to nftables.
func (f *FirewallPolicy) onlyNft(backend string) error {
	for _, k := range []struct {
		key   string
		given bool
	}{{"family", f.Family != ""}, {"basics", f.Basics != nil}, {"rules", len(f.Rules) > 0}, {"forward_rules", len(f.ForwardRules) > 0},
		{"output_rules", len(f.OutputRules) > 0}, {"extra", f.Extra != ""}} {
		if k.given {
			return notWith(backend, k.key, "it is of the table of nftables; use firewall_rule")
		}
	}
	return nil
}

// checkUfw says what of a policy ufw does not have.
func (f *FirewallPolicy) checkUfw() error {
	if len(f.Interfaces)+len(f.Sources) > 0 {
		return notWith(backendUfw, "interfaces and sources", "they are of the zones of firewalld")
	}
	return f.onlyNft(backendUfw)
}

// planUfw plans what ufw does with packets that no rule is about, and then that it is in force.
func (f *FirewallPolicy) planUfw(h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	if err := f.checkUfw(); err != nil && f.Ensure != "absent" {
		return p, err
	}
	enabled, err := ufwSetting(h, ufwConf, "ENABLED")
	if errors.Is(err, host.ErrNotFound) && f.Ensure == "absent" {
		return p, nil
	}
	if err != nil {
		return p, fault.WithHint(err, "declare the package ufw")
	}
	on := strings.EqualFold(enabled, "yes")
	if f.Ensure == "absent" {
		if on {
			p.Do(func(ctx context.Context) error { return ufw(ctx, h, []string{"ufw", "disable"}) }, change.Of("enabled", true, false))
		}
		return p, nil
	}
	for _, c := range []struct{ chain, key, word, want string }{
		{"input", "DEFAULT_INPUT_POLICY", "incoming", f.Input},
		{"output", "DEFAULT_OUTPUT_POLICY", "outgoing", f.Output},
		{"forward", "DEFAULT_FORWARD_POLICY", "routed", f.Forward},
	} {
		is, err := ufwSetting(h, ufwDefaults, c.key)
		if err != nil {
			return p, err
		}
		if is = strings.ToLower(is); c.want == "" || is == c.want {
			continue
		}
		argv := []string{"ufw", "default", ufwAction(c.want), c.word}
		p.Do(func(ctx context.Context) error { return ufw(ctx, h, argv) }, change.Of(c.chain, orWord(is, change.Absent), c.want))
	}
	if !on {
		p.Do(func(ctx context.Context) error { return ufw(ctx, h, []string{"ufw", "--force", "enable"}) }, change.Of("enabled", false, true))
	}
	return p, nil
}
