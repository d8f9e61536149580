package resources

import "net/netip"

// parseAddress reads an IP address as a file or a command of the machine may hold it. What follows a "%" is the name of an
// interface there; netip takes anything, a line end too.
func parseAddress(text string) (addr netip.Addr, ok bool) {
	addr, err := netip.ParseAddr(text)
	return addr, err == nil && (addr.Zone() == "" || checkInterface(addr.Zone()) == nil)
}
