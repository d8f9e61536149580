package traits

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/host"
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

const (
	maxListeners = 1000
	tcpListen    = "0A"
	udpOpen      = "07" // a datagram socket that is not tied to one peer
)

func collectListeners(ctx context.Context, h *host.Host) (Listeners, error) {
	sockets, err := listeningSockets(h)
	if err != nil {
		return nil, err
	}
	listeners := Listeners{}
	owners := map[string][]string{} // inode to keys
	for _, s := range sockets {
		l, again := listeners[s.key]
		if !again && len(listeners) >= maxListeners {
			continue
		}
		if address := s.addr.String(); !slices.Contains(l.Addresses, address) {
			l.Addresses = append(l.Addresses, address)
			slices.Sort(l.Addresses)
		}
		l.Public = l.Public || !s.addr.IsLoopback()
		listeners[s.key] = l
		owners[s.inode] = append(owners[s.inode], s.key)
	}
	return listeners, findOwners(ctx, h, listeners, owners)
}

// findOwners fills in which process holds the sockets: of several the oldest, which is that with the lowest number.
func findOwners(ctx context.Context, h *host.Host, listeners Listeners, owners map[string][]string) error {
	return eachProcess(ctx, h, func(pid int) bool {
		open, err := h.FS.List(procFile(pid, "fd"))
		if err != nil {
			return len(owners) > 0 // it ended, or is another user's
		}
		for _, f := range open {
			inode, ok := strings.CutPrefix(f.Target, "socket:[")
			inode = strings.TrimSuffix(inode, "]")
			if !ok || owners[inode] == nil {
				continue
			}
			name, err := read(h, procFile(pid, "comm"))
			if err != nil {
				return true
			}
			for _, key := range owners[inode] {
				if l := listeners[key]; l.Process == "" {
					l.Process = strings.ToValidUTF8(strings.TrimSpace(name), "�")
					l.Executable, l.Replaced = executable(h, pid)
					listeners[key] = l
				}
			}
			delete(owners, inode)
		}
		return len(owners) > 0
	})
}

// A socket is one that listens.
type socket struct {
	key   string // such as tcp/22
	addr  netip.Addr
	inode string
}

// listeningSockets reads the tables of the kernel, sorted as they are.
func listeningSockets(h *host.Host) ([]socket, error) {
	first, err := clientPorts(h)
	if err != nil {
		return nil, err
	}
	var all []socket
	found := false
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		data, err := h.FS.Read("/proc/net/"+table, 32<<20)
		if errors.Is(err, host.ErrNotFound) {
			continue // without IPv6
		}
		if err != nil {
			return nil, err
		}
		found = true
		sockets, err := parseSockets(strings.TrimSuffix(table, "6"), string(data), first)
		if err != nil {
			return nil, fmt.Errorf("reading /proc/net/%s: %w", table, err)
		}
		all = append(all, sockets...)
	}
	if !found {
		return nil, trait.ErrNone
	}
	return all, nil
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

// parseSockets reads a table of proc_net(5) and returns the sockets that listen.
func parseSockets(protocol, table string, clients uint16) ([]socket, error) {
	var all []socket
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 || f[0] == "sl" {
			continue
		}
		if protocol == "tcp" && f[3] != tcpListen || protocol == "udp" && f[3] != udpOpen {
			continue
		}
		at, err := parseEndpoint(f[1])
		if err != nil {
			return nil, err
		}
		if protocol == "udp" && at.Port() >= clients || at.Port() == 0 {
			continue
		}
		all = append(all, socket{key: protocol + "/" + strconv.Itoa(int(at.Port())), addr: at.Addr(), inode: f[9]})
	}
	return all, nil
}

// parseEndpoint reads an address and port in hexadecimal. The address is words of 32 bits as the processor keeps them:
// little-endian on all that the agent is built for.
func parseEndpoint(text string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, fmt.Errorf("%q is no address and port", text)
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	addr, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), nil
}
