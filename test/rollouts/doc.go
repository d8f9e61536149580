// Package rollouts holds the tests of rollouts on real programs: the services together or apart, hubs, and agents with a host of
// their own each. Things go wrong in them as they do: cables are cut, programs are killed, clocks are wrong.
//
// It refuses to look inside: what is asserted is what the hosts are like, and what `vigo` says.
package rollouts
