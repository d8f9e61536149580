package policy

import (
	"regexp"

	"gopkg.in/yaml.v3"
)

// catalogueRule is what the name of a catalogue of controls is made of: it stands before the colon of a control.
var catalogueRule = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// controls reads the catalogues of controls that the fleet is held to: the title of each by its name.
func (r *reader) controls(n *yaml.Node) map[string]string {
	entries, _ := r.mapping(n, "the controls")
	titles := make(map[string]string, len(entries))
	for _, e := range entries {
		if !catalogueRule.MatchString(e.key) {
			r.fail(e.node, "bad-name", "such as cis-debian-12", "%q is not a name for a catalogue of controls", e.key)
		}
		titles[e.key] = r.str(e.value, "the title of a catalogue of controls")
	}
	return titles
}
