//go:build linux

package machine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/host"
)

// firewall is host.Firewall: tables are read from the kernel by netlink, nft(8) changes them.
type firewall struct{ m *Machine }

var _ host.Firewall = (*firewall)(nil)

// Check implements [host.Firewall].
func (f *firewall) Check(ctx context.Context, text string) error {
	return f.nft(ctx, host.Command{Argv: []string{"nft", "--check", "--file", "-"}, Stdin: strings.NewReader(text)})
}

// Load implements [host.Firewall].
func (f *firewall) Load(ctx context.Context, _, _, path string) error {
	return f.nft(ctx, host.Command{Argv: []string{"nft", "--file", path}})
}

// maxTable bounds the text of a table, in bytes.
const maxTable = 4 << 20

// Dump implements [host.Firewall]. Nothing is started when there is no such table.
func (f *firewall) Dump(ctx context.Context, family, table string) (string, error) {
	if _, err := f.Fingerprint(ctx, family, table); err != nil {
		return "", err
	}
	// Numbers, since names need files such as /etc/protocols to be read again.
	res, err := f.m.runner.Run(ctx, host.Command{Argv: []string{"nft", "--stateless", "--numeric", "list", "table", family, table}, Limit: maxTable})
	switch {
	case err != nil:
		return "", err
	case res.Code != 0:
		return "", fmt.Errorf("nft: exit status %d: %s", res.Code, lastWords(res.Stderr))
	case len(res.Stdout) >= maxTable:
		return "", fmt.Errorf("reading table %s %s of the firewall: its text is longer than %d MiB", family, table, maxTable>>20)
	}
	return string(res.Stdout), nil
}

// Restore implements [host.Firewall].
func (f *firewall) Restore(ctx context.Context, family, table, dump string) error {
	if !f.m.tree.live() {
		return refuse(fmt.Sprintf("restoring table %s %s of the firewall", family, table))
	}
	text := fmt.Sprintf("table %s %s\ndelete table %[1]s %[2]s\n%s", family, table, dump)
	return f.nft(ctx, host.Command{Argv: []string{"nft", "--file", "-"}, Stdin: strings.NewReader(text)})
}

func (f *firewall) nft(ctx context.Context, c host.Command) error {
	res, err := f.m.runner.Run(ctx, c)
	if err != nil || res.Code == 0 {
		return err
	}
	return fmt.Errorf("nft: exit status %d: %s", res.Code, lastWords(res.Stderr))
}

// Messages and attributes of linux/netfilter/nf_tables.h.
const (
	nftGetTable, nftGetChain, nftGetRule, nftGetSet, nftGetElements = 1, 4, 7, 10, 13

	nftTableName = 1
	// Chains, rules and sets have the name of the table first.
	nftChainName, nftChainHook, nftChainPolicy, nftChainType       = 3, 4, 5, 7
	nftRuleChain, nftRuleExpressions, nftRuleUserdata              = 2, 4, 7
	nftSetName, nftSetFlags, nftSetKeyLen, nftSetDataType          = 2, 3, 5, 6
	nftElementsSet, nftElementsList, nftElementExpr, nftExprsOfOne = 2, 3, 7, 11
	nftElementTimeout, nftElementExpires                           = 4, 5
	nftExprName, nftExprData                                       = 1, 2

	nftSetTimeout, nftSetEval = 0x10, 0x20 // flags of sets whose elements come and go by themselves
)

func nftFamily(name string) (byte, bool) {
	number, ok := map[string]byte{"inet": 1, "ip": 2, "arp": 3, "netdev": 5, "bridge": 7, "ip6": 10}[name]
	return number, ok
}

// Fingerprint implements [host.Firewall].
func (f *firewall) Fingerprint(_ context.Context, family, table string) (string, error) {
	doing := fmt.Sprintf("reading table %s %s of the firewall", family, table)
	if !f.m.tree.live() {
		return "", refuse(doing)
	}
	number, ok := nftFamily(family)
	if !ok {
		return "", fmt.Errorf("%s: unknown family", doing)
	}
	c, err := dialNetfilter(number)
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	defer c.close()
	sum := sha256.New()
	for range 5 { // a dump during which somebody changes rules is done again
		sum.Reset()
		if err = c.digest(sum, table); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	// Without the module no table can be there; the kernel then knows no such message.
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		err = host.ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16]), nil
}

// digest feeds what the table holds to sum, in the order of the kernel, which is that of the rules.
func (c *netfilter) digest(sum hash.Hash, table string) error {
	name := attribute{kind: nftTableName, data: append([]byte(table), 0)}
	if _, err := c.ask(nftGetTable, false, name); err != nil {
		return err
	}
	put := func(word string, parts ...[]byte) {
		fmt.Fprintf(sum, "%s %d\n", word, len(parts))
		for _, p := range parts {
			fmt.Fprintf(sum, "%d:%s\n", len(p), p)
		}
	}
	chains, err := c.of(nftGetChain, name)
	if err != nil {
		return err
	}
	for _, ch := range chains {
		put("chain", ch.get(nftChainName), ch.get(nftChainHook), ch.get(nftChainPolicy), ch.get(nftChainType))
	}
	rules, err := c.of(nftGetRule, name)
	if err != nil {
		return err
	}
	for _, r := range rules {
		put("rule", append([][]byte{r.get(nftRuleChain), r.get(nftRuleUserdata)}, expressions(r.get(nftRuleExpressions))...)...)
	}
	sets, err := c.of(nftGetSet, name)
	if err != nil {
		return err
	}
	for _, s := range sets {
		put("set", s.get(nftSetName), s.get(nftSetFlags), s.get(nftSetKeyLen), s.get(nftSetDataType))
		if flags := s.get(nftSetFlags); len(flags) == 4 && flags[3]&(nftSetTimeout|nftSetEval) != 0 {
			continue
		}
		elements, err := c.elements(name, s.get(nftSetName))
		if err != nil {
			return err
		}
		put("elements", elements...)
	}
	return nil
}

// of lists what a table has of one kind.
func (c *netfilter) of(message uint16, table attribute) ([]attributes, error) {
	all, err := c.ask(message, true, table)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(a attributes) bool { return string(a.get(nftTableName)) != string(table.data) }), nil
}

// elements lists those of a set, sorted: a set has no order.
func (c *netfilter) elements(table attribute, set []byte) ([][]byte, error) {
	parts, err := c.ask(nftGetElements, true, table, attribute{kind: nftElementsSet, data: set})
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for _, p := range parts {
		for _, e := range parseAttributes(p.get(nftElementsList)) {
			var one []byte
			for _, a := range parseAttributes(e.data) {
				switch a.kind {
				case nftElementTimeout, nftElementExpires, nftElementExpr, nftExprsOfOne:
				default:
					one = fmt.Appendf(one, "%d:%x ", a.kind, a.data)
				}
			}
			all = append(all, one)
		}
	}
	slices.SortFunc(all, slices.Compare)
	return all, nil
}

// expressions lists what a rule does, without what has been counted.
func expressions(list []byte) [][]byte {
	var all [][]byte
	for _, e := range parseAttributes(list) {
		one := parseAttributes(e.data)
		name := strings.TrimRight(string(one.get(nftExprName)), "\x00")
		all = append(all, []byte(name))
		if name != "counter" && name != "quota" && name != "last" {
			all = append(all, one.get(nftExprData))
		}
	}
	return all
}
