package host

import "context"

// Firewall is the packet filter of the kernel, nftables.
type Firewall interface {
	// Fingerprint names what a table holds: its chains, rules and the elements of its sets, but not what only counts.
	// Equal tables have equal fingerprints. ErrNotFound if the kernel has no such table.
	Fingerprint(ctx context.Context, family, table string) (string, error)
	// Check reads a text in the language of nft(8) and says what is wrong with it; nothing is changed.
	Check(ctx context.Context, text string) error
	// Load has nft(8) carry out a file, whole or not at all.
	Load(ctx context.Context, path string) error
}
