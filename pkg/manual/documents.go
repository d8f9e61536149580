package manual

import "vigo.dev/pkg/policy"

// windowName is a name of a window.
func windowName() object {
	return says(object{"type": "string"}, "Name of the window outside of which nothing is changed; always: none.")
}

func fleetSchema() object {
	window := windowName()
	text := object{"type": "string"}
	grant := strict([]string{"match"}, object{
		"match":  says(object{"type": "string"}, "Glob that the names of nodes are compared with."),
		"labels": mapping(text, "Labels the nodes get."),
	}, "Labels for some nodes.")
	channel := object{"anyOf": []object{{"type": "null"}, strict(nil, object{
		"nodes": condition("Condition over labels: which nodes belong to the channel."),
		"about": says(object{"type": "string"}, "What the channel is for."),
		"from": strict(nil, object{
			"branch":     says(object{"type": "string"}, "Branch that feeds the channel; main if it is not said."),
			"repository": says(object{"type": "string"}, "URL of the repository; the same if it is not said."),
		}, "Where the bundles of the channel are from, if not from this branch."),
	}, "A channel.")}}
	span := strict([]string{"hours"}, object{
		"days":     listOrOne("Days of the week such as mon, or ranges such as mon-fri; every day if it is not said."),
		"hours":    says(object{"type": "string", "pattern": `^\d?\d:\d\d\s*-\s*\d?\d:\d\d$`}, "Times of day such as 22:00-06:00."),
		"timezone": says(object{"type": "string"}, "Name such as Europe/Amsterdam, or local for that of each node; UTC if it is not said."),
	}, "Hours of some days.")
	s := document("Fleet", "fleet.yaml: the fleet as a whole.", []string{"name"}, object{
		"interval": says(object{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$`}, "Time between two runs of an agent, such as 30s."),
		"nodes":    says(object{"type": "array", "items": grant}, "Labels granted by name; a later grant wins. A node cannot claim a label."),
		"channels": mapping(channel, "Channels by name; one called stable if none is given."),
		"modes":    mapping(object{"type": "boolean"}, "Switches that conditions see as mode.NAME."),
		"labels":   listOrOne("Names of labels that conditions may use beside environment, role, site and those granted here."),
		"data":     listOrOne("Files below data/ that give parameters their values, most specific first; templates over labels."),
		"audit":    boolean("Report drift and change nothing, unless a role, module or resource says otherwise."),
		"windows":  mapping(object{"anyOf": []object{span, {"type": "array", "minItems": 1, "items": span}}}, "When changes may be made, by names that the key window refers to."),
		"window":   window,
		"guardrails": strict(nil, object{"allow": listOrOne("Names of guardrails that do not hold in this fleet.")},
			"What keeps a policy from cutting off its own agents."),
		"controls": mapping(object{"type": "string"}, "Titles of the catalogues that resources serve controls of, by the name that stands before the colon: cis-debian-12."),
		"reboots":  rebootSchema(),
		"secrets":  secretsSchema(),
		"trust": strict(nil, object{
			"commits": says(object{"enum": []string{policy.CommitsAny, policy.CommitsSigned}}, "Which commits are published."),
			"approvals": strict([]string{"count"}, object{
				"count":      says(object{"type": "integer", "minimum": 1}, "How many people must have approved a commit before it is published."),
				"from":       says(object{"type": "array", "minItems": 1, "items": text}, "Who may approve, each with all names: addresses as in allowed_signers, accounts at the forge with an @. Without a list: who has a key in allowed_signers."),
				"not_author": boolean("Nobody approves what they wrote themselves; true unless it is said otherwise."),
			}, "Who must have approved a commit."),
		}, "What the controller asks of commits."),
	})
	return s
}

func moduleSchema(resource object) object {
	number := object{"type": "number"}
	typ := object{"enum": policy.ParamTypes()}
	param := object{"anyOf": []object{typ, strict([]string{"type"}, object{
		"type":    says(typ, "Type of the value."),
		"about":   says(object{"type": "string"}, "What it is for."),
		"default": object{"description": "Value where neither a role nor data/ gives one. Without a default the parameter is required."},
		"min":     says(number, "Least value of a number."),
		"max":     says(number, "Greatest value of a number."),
		"pattern": says(object{"type": "string"}, "Regular expression that a whole string must match."),
		"values":  says(object{"type": "array", "items": object{"type": "string"}}, "The values of an enum."),
	}, "A parameter.")}}
	return document("Module", "modules/NAME/module.yaml: resources that belong together.", nil, object{
		"params":    mapping(param, "Parameters by name; what resources and templates see as param.NAME."),
		"when":      condition("Condition under which the module applies to a node."),
		"audit":     boolean("Report drift of this module and change nothing."),
		"window":    windowName(),
		"defaults":  mapping(object{"type": "object"}, "By type, what its resources have where they do not say otherwise; ~ takes it away."),
		"resources": says(object{"type": "array", "items": resource}, "The resources, in the order they are converged."),
	})
}

func roleSchema() object {
	use := object{"anyOf": []object{
		{"type": "string"},
		{"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": object{"type": []string{"object", "null"}}},
	}}
	return document("Role", "roles/NAME.yaml: which modules some nodes have.", nil, object{
		"when":    condition("Condition over labels, traits and modes: which nodes have the role. Without one all have it."),
		"audit":   boolean("Report drift of the modules of this role and change nothing."),
		"window":  windowName(),
		"modules": says(object{"type": "array", "items": use}, "Modules, each a name or a name with parameters."),
	})
}

func testSchema() object {
	free := mapping(object{}, "")
	return document("Test", "modules/NAME/tests/*.yaml: what a module must come to on a node.", []string{"expect"}, object{
		"given": strict(nil, object{
			"node":   says(object{"type": "string"}, "Name of the node."),
			"labels": mapping(object{"type": "string"}, "Labels of the node."),
			"traits": says(free, "Traits of the node."),
			"params": mapping(object{}, "Parameters of the module."),
			"modes":  mapping(object{"type": "boolean"}, "Modes of the fleet."),
			"host":   says(object{"type": "string"}, "A machine as text, on which the module is enforced; docs/policy.md says how it is written."),
			"now":    says(object{"type": "string"}, "Time of that, such as 2026-01-01T12:00:00Z, which windows see."),
		}, "The node a module is tested on, and the parameters it gets."),
		"expect": strict(nil, object{
			"resources": says(object{"type": "array", "items": object{"type": "object", "minProperties": 1}},
				"Resources that must be there; the first key is the type, the others are compared."),
			"absent": says(object{"type": "array", "items": object{"type": "string"}}, "type:identity of resources that must not be there."),
			"error":  says(object{"type": "string"}, "Part of the mistake that must be found."),
			"diff":   says(object{"type": "string"}, "What is done on the host, whole."),
			"after":  says(object{"type": "string"}, "Lines that the text of the host has afterwards."),
			"roles":  says(object{"type": "array", "items": object{"type": "string"}}, "All roles of the policy that give such a node the module; [] is none."),
		}, "What the module must come to."),
	})
}
