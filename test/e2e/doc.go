// Package e2e shows the whole system at work on booted Debian machines, with the real programs: git, `vigo up`, a
// registry, and vigo-agent as the service that systemd runs. Each test reads as what an operator does and sees.
//
// It refuses to ask Vigo whether Vigo did its work: what a machine is like is found out by the programs of Debian. And it
// refuses to touch the computer it runs on: everything happens on machines and in network namespaces of package fleet.
package e2e
