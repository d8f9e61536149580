package report

// MaxGrants bounds how many grants of labels one controller may tell of, in all.
const MaxGrants = 20_000

// Grants are the labels that the policy of a branch gives to nodes by their names, and of which channels the nodes are. A node has
// those its token gave it and these; of two with one name, these.
type Grants struct {
	Channels []string     `json:"channels"`
	Grants   []LabelGrant `json:"grants"` // a later one wins
}

// A LabelGrant gives labels to the nodes whose names a glob matches.
type LabelGrant struct {
	Match  string            `json:"match"`
	Labels map[string]string `json:"labels"`
}
