package up

import (
	"net"
	"os"
)

// Advertised is the host:port to tell people of, for the address listened on: every address of this machine is told by
// the name of the machine.
func Advertised(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			return net.JoinHostPort(name, port)
		}
	}
	return listen
}
