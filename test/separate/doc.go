// Package separate proves that controller, registry and report service work as processes of their own, each with its
// own data folder, as they do together in `vigo up`.
//
// It refuses to look inside them: it starts the programs with their command lines and talks to them as people and nodes
// do.
package separate
