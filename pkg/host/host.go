// Package host describes one machine as a set of small interfaces: what a resource type may ask of it and do to it.
//
// It refuses to know any operating system: package machine implements these interfaces on a real one, package
// hosttest in memory from text. Everything here tells "not there" ([ErrNotFound]) from "could not look" (any other
// error); nobody may treat the second as the first. A facility the machine lacks is an implementation that returns
// [errors.ErrUnsupported], never a nil field.
package host

import (
	"errors"
)

// ErrNotFound says that what was asked for is certainly not there.
var ErrNotFound = errors.New("not found")

// ErrRange says that the content at a URL is shorter than the part that was asked to be left out.
var ErrRange = errors.New("the content is shorter")

// ErrBusy says that something else holds what is needed (a package lock, a mounted file system); a later run may
// succeed.
var ErrBusy = errors.New("busy")

// A Host is one machine. Its views (package database, unit list, accounts) are read at most once and kept until
// something is changed through the same Host, so a Host lives for one run: make a new one for the next.
type Host struct {
	FS        FS
	Run       Runner
	Packages  Packages
	Upgrades  Upgrades
	Services  Services
	Units     Units
	Processes Processes
	Accounts  Accounts
	Mounts    Mounts
	Kernel    Kernel
	Fetch     Fetcher
	Firewall  Firewall
	Zones     Zones
	Clock     Clock
	Extended  Extended
	Below     Below
	Devices   Devices
	API       API
	Volumes   Volumes
	Quotas    Quotas
	Turns     Turns
}
