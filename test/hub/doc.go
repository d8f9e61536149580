// Package hub proves what hubs are for, with the real programs: a site goes on by itself while its uplink is cut, slow or
// lossy, converges to the newest policy afterwards, never runs an older one, and every report arrives exactly once, also
// when the hub is killed over and over.
//
// It refuses to look inside the programs: it starts them with their command lines, cuts their cables, and reads what the
// report service has kept in the end. VIGO_KILL_ROUNDS says how often a hub is killed (5 if it is not set).
package hub
