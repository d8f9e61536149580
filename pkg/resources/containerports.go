package resources

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"vigo.dev/pkg/fault"
)

// ports publishes ports; ranges are taken apart, as the engine knows single ones only.
func (c *Container) ports(b *containerBody) error {
	for _, text := range c.Ports {
		p, err := parsePublished(text)
		if err != nil {
			return fmt.Errorf("ports: %w", err)
		}
		for i := range p.count {
			key := fmt.Sprintf("%d/%s", p.inside+i, p.protocol)
			binding := portBinding{HostIP: p.address}
			if p.outside > 0 {
				binding.HostPort = strconv.Itoa(p.outside + i)
			}
			if b.ExposedPorts == nil {
				b.ExposedPorts, b.HostConfig.PortBindings = map[string]struct{}{}, map[string][]portBinding{}
			}
			b.ExposedPorts[key] = struct{}{}
			b.HostConfig.PortBindings[key] = append(b.HostConfig.PortBindings[key], binding)
		}
	}
	return nil
}

// published is a line of ports: count ports from outside on lead to those from inside on.
type published struct {
	address, protocol      string
	outside, inside, count int // outside is 0 where any will do
}

func parsePublished(text string) (published, error) {
	wrong := fault.WithHint(fmt.Errorf("%q is not a port to publish", text), "write 80, 8080:80, 127.0.0.1:8080:80 or [::1]:8080:80, with /udp behind it")
	rest, protocol, named := strings.Cut(text, "/")
	if !named {
		protocol = "tcp"
	}
	p := published{protocol: protocol}
	if protocol != "tcp" && protocol != "udp" && protocol != "sctp" {
		return p, wrong
	}
	at := strings.LastIndex(rest, ":")
	low, high, ok := portRange(rest[at+1:])
	if !ok {
		return p, wrong
	}
	p.inside, p.count = low, high-low+1
	if at < 0 {
		return p, nil
	}
	rest = rest[:at]
	if at = strings.LastIndex(rest, ":"); at >= 0 {
		addr, err := netip.ParseAddr(strings.Trim(rest[:at], "[]"))
		if err != nil || addr.Zone() != "" || addr.Is6() != strings.HasPrefix(rest, "[") {
			return p, wrong
		}
		p.address = addr.String()
	}
	if rest = rest[at+1:]; rest == "" && p.address != "" {
		return p, nil
	}
	low, high, ok = portRange(rest)
	if !ok || high-low+1 != p.count {
		return p, wrong
	}
	p.outside = low
	return p, nil
}

func portRange(text string) (low, high int, ok bool) {
	if checkPorts(text) != nil {
		return 0, 0, false
	}
	a, b, isRange := strings.Cut(text, "-")
	low, _ = strconv.Atoi(a)
	if high = low; isRange {
		high, _ = strconv.Atoi(b)
	}
	return low, high, true
}
