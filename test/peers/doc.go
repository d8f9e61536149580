// Package peers holds a test for each class of mistake that users of other configuration management had to report again and
// again. Each runs the real programs as a user does.
//
// It refuses to look inside: what counts is what is on the disk, in the output, and in the exit status. What needs a booted
// machine (a service that does not start, a lock of dpkg) is in test/fleet.
package peers
