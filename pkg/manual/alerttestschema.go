package manual

import "vigo.dev/pkg/report"

func alertTestSchema() object {
	span := func(what string) object {
		return says(object{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$`}, what)
	}
	text := func(what string) object { return says(object{"type": "string"}, what) }
	list := func(what string) object {
		return says(object{"type": "array", "items": object{"type": "string"}}, what)
	}
	presence := says(object{"enum": []any{report.Live, report.Late, report.Stale, report.Missing, report.Never}}, "Whether it is heard of; live at the beginning.")
	certificate := span("How long its certificate is still valid.")
	scene := func(required []string, what string) object {
		return strict(required, object{
			"at": span("When, since the beginning."),
			"nodes": mapping(strict(nil, object{
				"labels": mapping(object{"type": "string"}, "Labels of the node."),
				"traits": mapping(object{}, "Traits of the node."), "presence": presence,
				"compliance": says(object{"enum": []any{report.ComplianceOK, report.ComplianceChanged, report.ComplianceDrift, report.ComplianceFailed, report.ComplianceNever}},
					"How its last run was; ok at the beginning."),
				"channel": text("Channel that it follows; stable at the beginning."), "hub": text("Hub that it is behind."),
				"failing":     says(object{"type": "integer", "minimum": 0}, "Runs in a row that were not well; 1 if it is failed or drift."),
				"refuses":     text("What it refuses; empty: nothing any more."),
				"pointer":     says(object{"enum": []string{"", "frozen", "forked"}}, "What is wrong with its pointer."),
				"overdue":     boolean("It is not back from its reboot."),
				"excess":      boolean("It reports more than its share."),
				"certificate": certificate, "maintenance": boolean("Somebody works on it."),
			}, "What becomes so of a node."), "Nodes by name; web-1..20 is twenty of them."),
			"hubs": mapping(strict(nil, object{"presence": presence, "certificate": certificate, "maintenance": boolean("Somebody works on it.")},
				"What becomes so of a hub."), "Hubs by name."),
			"channels": mapping(strict(nil, object{"error": text("Why its newest commit is not published; empty: it is."),
				"expired": boolean("Its pointer is past its time."),
				"rollout": text("The phase of its rollout, such as paused or aborted, or waiting-approval; empty: there is none.")}, "What is wrong with a channel."), "Channels by name."),
			"mute": strict([]string{"last"}, object{"rule": text("Rules, as a glob."), "of": text("Nodes or groups, as a glob."), "last": span("For how long.")},
				"A mute that somebody begins."),
		}, what)
	}
	key := func(what string) object {
		return says(object{"type": "string", "pattern": "^[a-z][a-z0-9_-]*/.+$"}, what+": RULE/NODE, or RULE/GROUP.")
	}
	told := strict([]string{"at"}, object{
		"at": span("When, since the beginning; to the second."), "firing": key("What people are told of"), "grown": key("What they are told has become more"),
		"repeat": key("What they are told again"), "resolved": key("What they are told is over"),
		"inhibited": key("What is so then and not told, because another alert explains it"), "muted": key("What is so then and not told, because it is muted, or in maintenance"),
		"quarantined": text("A node that is put in quarantine then."), "released": text("A node that leaves quarantine then."),
		"by": key("What explains it"), "count": says(object{"type": "integer"}, "How many were found."), "of": list("Which were found."),
		"notify": list("Who is told; default is who is told by rules that name nobody."),
	}, "Something people are told.")
	return document("AlertTest", "alerts/tests/*.yaml: what people are told when something is so.", []string{"expect"}, object{
		"rules":    list("Only these rules count; all of the repository if it is not said."),
		"given":    scene(nil, "What there is at the beginning."),
		"timeline": says(object{"type": "array", "items": scene([]string{"at"}, "What becomes so at a time.")}, "What becomes so later, in order."),
		"expect":   says(object{"type": "array", "items": told}, "All that people are told, and what they are not."),
		"until":    span("Until when nothing else happens; an hour after the last that is named if it is not said."),
	})
}
