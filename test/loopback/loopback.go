// Package loopback gives a test an address of this machine that nobody else uses.
//
// A program that is stopped, killed and started again listens on the port it had. On 127.0.0.1 somebody else may get that port
// while it is down: whoever asks for any free port, as most tests do, and whoever makes a connection. It refuses to be used
// where all of 127.0.0.0/8 is not this machine's, as it is on Linux.
package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Host is an address out of sixteen million, other than 127.0.0.1 and what else is near it. A port of it that is free stays so.
func Host() string {
	return fmt.Sprintf("127.%d.%d.%d", 1+rand.N(254), rand.N(256), 1+rand.N(254))
}

// Any is a Host with port 0: a program that listens on it chooses one.
func Any() string { return net.JoinHostPort(Host(), "0") }

// Free is a Host with a port that is free.
func Free() (string, error) {
	l, err := net.Listen("tcp", Any())
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
