// Package load runs a real service (`vigo up`) under the load of a simulated fleet in another process, and takes away from it
// what it stands on: it is stopped and killed, its PostgreSQL is stopped and killed, its disk fills up, nodes and a hub go silent
// at once. Nobody who goes on is called silent, nothing that was acknowledged is lost, and it recovers by itself.
//
// It refuses to be anything but tests, and small unless it is told otherwise: VIGO_LOAD_NODES and VIGO_LOAD_INTERVAL set the size
// of the fleet (1000 nodes at 2s if they are not set), VIGO_LOAD_TABLE names a file for a table of what was measured, VIGO_BIN a
// folder with the program (otherwise the test binary is it), VIGO_LOAD_DIR where the data folders are. Without PostgreSQL its
// part is skipped, unless VIGO_POSTGRES=1 says that it is to be there.
package load
