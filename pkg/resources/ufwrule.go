package resources

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// checkUfw says what of a rule ufw does not have.
func (r *FirewallRule) checkUfw() error {
	switch {
	case r.Rule != "":
		return notWith(backendUfw, "rule", "it is in the language of nft(8); use the other keys")
	case r.Limit != "":
		return notWith(backendUfw, "limit", "action: limit is the limit that ufw has, six in 30 seconds")
	case r.Action == "continue":
		return notWith(backendUfw, "action: continue", "log: is for the rule that decides")
	case r.Protocol != "" && !slices.Contains([]string{"tcp", "udp", "ah", "esp", "gre", "igmp", "ipv6", "vrrp"}, r.Protocol):
		return notWith(backendUfw, "protocol: "+r.Protocol, "ICMP is in /etc/ufw/before.rules")
	case strings.ContainsAny(r.Name, `'`):
		return fmt.Errorf("%q cannot be the comment of a rule of ufw", r.Name)
	case r.Chain != "forward" && r.InInterface != "" && r.OutInterface != "":
		return notWith(backendUfw, "out_interface", "only a rule of the chain forward has two interfaces")
	case r.Chain == "output" && r.InInterface != "" || orWord(r.Chain, "input") == "input" && r.OutInterface != "":
		return errors.New("the interface is of the other direction than the chain")
	}
	_, err := r.ufwTuples()
	return err
}

// ufwSetting reads a setting of a file of ufw, which is in the manner of a shell. Not found is that ufw is not there.
func ufwSetting(h *host.Host, file, key string) (string, error) {
	data, err := h.FS.Read(file, maxEdit)
	if err != nil {
		return "", fmt.Errorf("reading the settings of ufw: %w", err)
	}
	value := ""
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			value = strings.Trim(v, `"'`)
		}
	}
	return value, nil
}

// planUfw plans the rules in user.rules and user6.rules that have the name of the resource as their comment.
func (r *FirewallRule) planUfw(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	if err := r.checkUfw(); err != nil && r.Ensure != "absent" {
		return p, err
	}
	v6, err := ufwSetting(h, ufwDefaults, "IPV6")
	if errors.Is(err, host.ErrNotFound) && r.Ensure == "absent" {
		return p, nil
	}
	if err != nil {
		return p, fault.WithHint(err, "declare the package ufw")
	}
	var want [2][]ufwTuple
	if r.Ensure != "absent" {
		if want, err = r.ufwTuples(); err != nil {
			return p, err
		}
	}
	if !strings.EqualFold(v6, "yes") {
		if want[1] != nil && want[0] == nil {
			return p, fault.WithHint(errors.New("the rule is for IPv6, which ufw is told to leave alone"), "IPV6=yes in "+ufwDefaults)
		}
		want[1] = nil
	}
	for i, file := range []string{ufwRules4, ufwRules6} {
		data, err := h.FS.Read(file, maxEdit)
		if err != nil && !errors.Is(err, host.ErrNotFound) {
			return p, fmt.Errorf("reading the rules of ufw: %w", err)
		}
		r.planUfwFile(h, &p, ufwNamed(string(data), r.Name), want[i])
	}
	return p, nil
}

// planUfwFile plans the rules of one version of IP. What should not be there goes last. A rule that differs by its action or
// log alone is the same to ufw: it changes it in place, but will not put it before others while it is there.
func (r *FirewallRule) planUfwFile(h *host.Host, p *resource.Plan, is, want []ufwTuple) {
	keys := func(list []ufwTuple) []string {
		var all []string
		for _, t := range list {
			all = append(all, t.key())
		}
		return all
	}
	have, wanted := keys(is), keys(want)
	verb := ""
	if r.Order != nil && *r.Order < 500 {
		verb = "prepend"
	}
	for _, t := range want {
		if !slices.Contains(have, t.key()) {
			p.Do(func(ctx context.Context) error {
				if at := slices.IndexFunc(is, t.replacedBy); at >= 0 && verb != "" {
					if err := ufw(ctx, h, is[at].argv("delete")); err != nil {
						return err
					}
				}
				return ufw(ctx, h, t.argv(verb))
			}, change.Of("rule", change.Absent, t.key()))
		}
	}
	for _, t := range is {
		if slices.Contains(wanted, t.key()) {
			continue
		}
		p.Do(func(ctx context.Context) error {
			if slices.ContainsFunc(want, t.replacedBy) {
				return nil
			}
			return ufw(ctx, h, t.argv("delete"))
		}, change.Of("rule", t.key(), change.Absent))
	}
}

// replacedBy reports whether another rule and this one are the same to ufw, so that one takes the place of the other.
func (t ufwTuple) replacedBy(other ufwTuple) bool {
	other.action, other.log, other.comment = t.action, t.log, t.comment
	return other == t
}

// ufw runs ufw(8), which tells what it did not do in words alone.
func ufw(ctx context.Context, h *host.Host, argv []string) error {
	res, err := h.Run.Run(ctx, host.Command{Argv: argv})
	if err != nil {
		return fmt.Errorf("changing the rules of ufw: %w", err)
	}
	out := append(res.Stdout, res.Stderr...)
	if res.Code != 0 || strings.Contains(string(out), "ERROR") {
		return fmt.Errorf("%s ended with status %d%s", strings.Join(argv, " "), res.Code, lastWords(out))
	}
	return nil
}
