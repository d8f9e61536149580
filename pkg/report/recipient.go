package report

// A Recipient is a node that secrets may be sealed to: who is enrolled, under which key, and what it was granted then.
type Recipient struct {
	Node    string            `json:"node"`
	Channel string            `json:"channel"`
	Labels  map[string]string `json:"labels,omitempty"` // granted at enrolment; not what the node says of itself
	Key     []byte            `json:"key"`              // Ed25519 public key
}
