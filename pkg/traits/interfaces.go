package traits

import (
	"context"

	"vigo.dev/pkg/host"
)

// Interfaces are the network interfaces, by name; at most 256, the ones that were made first.
//
//	when: 'interfaces.eth0.up and any(interfaces.eth0.addresses, cidr("192.0.2.0/24", #))'
type Interfaces map[string]Interface

// Interface is one network interface.
type Interface struct {
	// MAC is the hardware address; empty if it has none.
	MAC string `json:"mac"`
	// MTU is the most bytes in a packet.
	MTU int `json:"mtu"`
	// Up says whether it is switched on.
	Up bool `json:"up"`
	// Loopback says whether it leads back to the machine itself.
	Loopback bool `json:"loopback"`
	// Addresses with their prefix length, such as 192.0.2.7/24.
	Addresses []string `json:"addresses"`
}

const maxInterfaces = 256

func collectInterfaces(ctx context.Context, h *host.Host) (Interfaces, error) {
	all, err := h.Kernel.Interfaces(ctx)
	if err != nil {
		return nil, missing(err)
	}
	interfaces := make(Interfaces, len(all))
	for _, i := range all[:min(len(all), maxInterfaces)] {
		interfaces[i.Name] = Interface{MAC: i.MAC, MTU: i.MTU, Up: i.Up, Loopback: i.Loopback, Addresses: append([]string{}, i.Addresses...)}
	}
	return interfaces, nil
}
