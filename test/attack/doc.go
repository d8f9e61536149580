// Package attack is the list of what somebody may try who holds the registry, a mirror, the wire, a node, or some of the
// keys: each attack is made on the real programs, is refused under its name, changes nothing, and is told in `vigo status`
// and as an event. docs/attacks.md is made from it.
//
// It refuses to test parts of programs: the packages do.
package attack
