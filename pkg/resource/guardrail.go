package resource

// A Guardrail is a rule that keeps a policy from cutting off its own agents. The language asks it about each declaration,
// when a policy is published and again on each node; fleet.yaml says which ones do not hold.
type Guardrail struct {
	Name string // such as agent-unit
	// Breaks says what a declaration would do to the agent, such as "it stops the agent", or "". all is the catalog it
	// belongs to; nil if only the declaration is known.
	Breaks func(kind Kind, id ID, res Resource, all []Item) string
}
