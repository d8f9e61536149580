package manual

import "vigo.dev/pkg/policy"

// rebootSchema is the pools of nodes that take turns to reboot.
func rebootSchema() object {
	pool := strict([]string{"name", "at_once"}, object{
		"name":        says(object{"type": "string"}, "Name."),
		"about":       says(object{"type": "string"}, "What it is for."),
		"when":        condition("Condition over labels: which nodes are in it; without one, all that are in none before it."),
		"per":         listOrOne("Labels whose values divide the pool into groups that do not wait for each other, such as site."),
		"at_once":     says(object{"anyOf": []object{{"type": "string", "pattern": `^[0-9.]+%$`}, {"type": "integer", "minimum": 1}}}, "How many nodes of a group may be down for a reboot at once; a percentage is rounded down, and is one at least."),
		"lease":       says(object{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$`}, "How long a reboot may take before the node is overdue; 30m if it is not said."),
		"unreachable": says(object{"enum": []any{"wait", "reboot"}}, "What a node does that cannot ask for its turn; wait if it is not said."),
	}, "Nodes that take turns.")
	return says(object{"type": "array", "maxItems": policy.MaxPools, "items": pool}, "Which nodes take turns to reboot, and how many of them at once; a node is in the first pool whose condition it meets.")
}
