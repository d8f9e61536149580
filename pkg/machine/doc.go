// Package machine is host.Host on a real Linux machine, or on the root folder of one (an image being built, a node
// of a demonstration).
//
// Everything that only looks reads files, /proc, D-Bus and system calls: looking starts no program, but for the volumes of
// LVM. Programs are started by runner.go alone, and else only to change something. With another root folder than "/", every
// path is confined to it, symbolic links included, and nothing outside is ever changed: what cannot be done inside (starting a
// service, installing a package) is refused with [errors.ErrUnsupported].
//
// It refuses to decide anything: what should be is the business of package resources.
package machine
