// Package sockets reads which sockets of a machine wait for connections or datagrams, and which processes hold them, from
// /proc.
//
// It refuses to judge what it finds, and it starts no program.
package sockets

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
)

const (
	tcpListen = "0A"
	udpOpen   = "07" // a datagram socket that is not tied to one peer

	maxTable = 32 << 20
)

// A Socket is one that listens.
type Socket struct {
	Protocol string // tcp or udp
	Addr     netip.AddrPort
	Inode    string
}

// Key names the port, such as tcp/22.
func (s Socket) Key() string { return s.Protocol + "/" + strconv.Itoa(int(s.Addr.Port())) }

// Public says whether other machines may reach the socket.
func (s Socket) Public() bool { return !s.Addr.Addr().IsLoopback() }

// Listening returns the sockets of TCP and UDP that listen, in the order of the tables of the kernel. Those of UDP hold
// what clients wait for answers with. A machine without any table is [host.ErrNotFound].
func Listening(h *host.Host) ([]Socket, error) {
	var all []Socket
	found := false
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		data, err := h.FS.Read("/proc/net/"+table, maxTable)
		if errors.Is(err, host.ErrNotFound) {
			continue // without IPv6
		}
		if err != nil {
			return nil, err
		}
		found = true
		sockets, err := Parse(strings.TrimSuffix(table, "6"), string(data))
		if err != nil {
			return nil, fmt.Errorf("reading /proc/net/%s: %w", table, err)
		}
		all = append(all, sockets...)
	}
	if !found {
		return nil, fmt.Errorf("reading /proc/net/tcp: %w", host.ErrNotFound)
	}
	return all, nil
}

// Parse reads a table of proc_net(5) and returns the sockets that listen. Protocol is tcp or udp.
func Parse(protocol, table string) ([]Socket, error) {
	var all []Socket
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
		if at.Port() != 0 {
			all = append(all, Socket{Protocol: protocol, Addr: at, Inode: f[9]})
		}
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

// Holders calls visit for each process that holds one of the sockets, by number of the process, with the inodes of those
// it holds, until visit returns false. Processes that end meanwhile are passed over, and so are those of other users if
// the caller may not look: a socket that nobody is found for is not one that nobody holds.
func Holders(ctx context.Context, h *host.Host, inodes map[string]bool, visit func(pid int, held []string) bool) error {
	if len(inodes) == 0 {
		return nil
	}
	pids, err := Processes(h)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return err
		}
		open, err := h.FS.List(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			continue
		}
		var held []string
		for _, f := range open {
			inode, ok := strings.CutPrefix(f.Target, "socket:[")
			inode = strings.TrimSuffix(inode, "]")
			if ok && inodes[inode] && !slices.Contains(held, inode) {
				held = append(held, inode)
			}
		}
		if len(held) > 0 && !visit(pid, held) {
			return nil
		}
	}
	return nil
}

// Processes returns the numbers of the processes, sorted.
func Processes(h *host.Host) ([]int, error) {
	entries, err := h.FS.List("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}
