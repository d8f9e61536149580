// Package trust rehearses what is done when keys are replaced, when they are stolen, and when people hold a channel: with the
// real programs, six nodes, and a third of them cut off meanwhile.
//
// It refuses to reach anything but loopback and its own folders, and to look inside of the programs: it runs command
// lines, and reads what nodes have on their disks and what is in the registry.
package trust
