package report

// MaxModeNodes is how many nodes a [ModeStatus] names in each list.
const MaxModeNodes = 50

// A ModeStatus is a mode of a channel with how its nodes stand to it.
type ModeStatus struct {
	Channel string `json:"channel"`
	Mode
	Nodes int `json:"nodes"` // of the channel
	There int `json:"there"` // whose last run was in the mode as it is to be
	// Silent is how many of the others are not heard of: they follow when they are back.
	Silent int `json:"silent"`
	// Gone are those by name; at most [MaxModeNodes].
	Gone []string `json:"gone,omitempty"`
	// Unread is how many others the service has not looked at yet after it was started.
	Unread int `json:"unread,omitempty"`
	// Lagging are others that are heard of; at most [MaxModeNodes].
	Lagging []string `json:"lagging,omitempty"`
	// Unready are nodes on which the mode could not be flipped now: a module that it takes cannot be fetched, or does not
	// compile. At most [MaxModeNodes].
	Unready []string `json:"unready,omitempty"`
}
