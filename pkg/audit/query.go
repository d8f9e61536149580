package audit

import "time"

// MaxPage is how many entries are read at once.
const MaxPage = 1000

// A Query says which entries are wanted.
type Query struct {
	After  int64     // only entries with greater numbers
	Since  time.Time // zero: since ever
	Actor  string    // "": any
	Act    string    // as SQLite's GLOB: "node.*"; "": any
	Limit  int       // 0, or more than MaxPage: [MaxPage]
	Newest bool      // the last ones of those that match, not the first; always in ascending order
}

// A Page is an answer to a [Query]: what of a log is new to whoever asks.
type Page struct {
	Fleet   string      `json:"fleet"`
	CA      string      `json:"ca"` // PEM certificate of the authority that signs
	Start   *Checkpoint `json:"start,omitempty"`
	Entries []Entry     `json:"entries"`
	// Checkpoints are those of entries after Query.After, the last one of the newest entry there is.
	Checkpoints []Checkpoint `json:"checkpoints"`
}
