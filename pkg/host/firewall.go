package host

import "context"

// Firewall is the packet filter of the kernel, nftables.
type Firewall interface {
	// Fingerprint names what a table holds: its chains, rules and the elements of its sets, but not what only counts.
	// Equal tables have equal fingerprints. ErrNotFound if the kernel has no such table.
	Fingerprint(ctx context.Context, family, table string) (string, error)
	// Check reads a text in the language of nft(8) and says what is wrong with it; nothing is changed.
	Check(ctx context.Context, text string) error
	// Load has nft(8) carry out a file, whole or not at all. The file is about one table alone, which it makes anew or drops.
	Load(ctx context.Context, family, table, path string) error
	// Dump returns what makes a table as it is now, without what it has counted; ErrNotFound if the kernel has no such table.
	Dump(ctx context.Context, family, table string) (string, error)
	// Restore makes a table what Dump returned, whole or not at all; with "" there is none afterwards.
	Restore(ctx context.Context, family, table, dump string) error
}

// Zones is what firewalld makes of the packet filter, where it keeps it.
type Zones interface {
	// Zone returns what firewalld runs with for a zone, which may differ from its files. ErrNotFound if it has no such zone,
	// [errors.ErrUnsupported] if it does not run.
	Zone(ctx context.Context, name string) (Zone, error)
}

// A Zone is a part of the network as firewalld sees it. Only what a policy may declare is here.
type Zone struct {
	Target     string // ACCEPT, DROP or %%REJECT%%; default if it is none of them
	Forward    bool
	Interfaces []string
	Sources    []string
	Ports      []string // such as 80/tcp or 8000-8010/udp
	Protocols  []string
	RichRules  []string // in the rich language, as firewalld writes it
}
