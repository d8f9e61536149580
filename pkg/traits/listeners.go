package traits

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/host/sockets"
	"vigo.dev/pkg/trait"
)

// Listeners are the ports that wait for connections or datagrams, by protocol and port, such as tcp/22. UDP ports from
// the range the kernel hands out to clients are left out; so is the rest after 1,000.
//
//	when: listeners["tcp/22"].process == "sshd" and not has(listeners["tcp/23"])
//	when: any(values(listeners), .public and .process == "redis-server")
type Listeners map[string]Listener

// Listener is one port that something listens at.
type Listener struct {
	// Process is the name of the process, at most 15 characters; empty where the agent may not look.
	Process string `json:"process"`
	// Executable is the path of its program; empty where the agent may not look.
	Executable string `json:"executable"`
	// Replaced says whether the file of the program was replaced or removed after it was started, as by an update.
	Replaced bool `json:"replaced"`
	// Addresses that are listened at, sorted; 0.0.0.0 and :: are all of the machine's.
	Addresses []string `json:"addresses"`
	// Public says whether some of them can be reached from other machines.
	Public bool `json:"public"`
}

const maxListeners = 1000

func collectListeners(ctx context.Context, h *host.Host) (Listeners, error) {
	clients, err := clientPorts(h)
	if err != nil {
		return nil, err
	}
	all, err := sockets.Listening(h)
	if errors.Is(err, host.ErrNotFound) {
		return nil, trait.ErrNone
	}
	if err != nil {
		return nil, err
	}
	listeners := Listeners{}
	owners := map[string][]string{} // inode to keys
	for _, s := range all {
		l, again := listeners[s.Key()]
		if !again && len(listeners) >= maxListeners || s.Protocol == "udp" && s.Addr.Port() >= clients {
			continue
		}
		if address := s.Addr.Addr().String(); !slices.Contains(l.Addresses, address) {
			l.Addresses = append(l.Addresses, address)
			slices.Sort(l.Addresses)
		}
		l.Public = l.Public || s.Public()
		listeners[s.Key()] = l
		owners[s.Inode] = append(owners[s.Inode], s.Key())
	}
	return listeners, findOwners(ctx, h, listeners, owners)
}

// findOwners fills in which process holds the sockets: of several the oldest, which is that with the lowest number.
func findOwners(ctx context.Context, h *host.Host, listeners Listeners, owners map[string][]string) error {
	left := map[string]bool{}
	for inode := range owners {
		left[inode] = true
	}
	return sockets.Holders(ctx, h, left, func(pid int, held []string) bool {
		name, err := read(h, procFile(pid, "comm"))
		if err != nil {
			return true // it ended
		}
		for _, inode := range held {
			for _, key := range owners[inode] {
				if l := listeners[key]; l.Process == "" {
					l.Process = strings.ToValidUTF8(strings.TrimSpace(name), "�")
					l.Executable, l.Replaced = executable(h, pid)
					listeners[key] = l
				}
			}
			delete(left, inode)
		}
		return len(left) > 0
	})
}

// clientPorts returns the first of the ports that the kernel hands out to clients, ip(7).
func clientPorts(h *host.Host) (uint16, error) {
	text, err := optional(h, "/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0, err
	}
	if low, _, ok := strings.Cut(text, "\t"); ok {
		if n, err := strconv.ParseUint(low, 10, 16); err == nil {
			return uint16(n), nil
		}
	}
	return 32768, nil
}
