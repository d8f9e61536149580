package manual

import "vigo.dev/pkg/report"

func alertSchema() object {
	word := func(what string, known ...any) object {
		one := object{"enum": known}
		return says(object{"anyOf": []object{one, {"type": "array", "items": one}}}, what)
	}
	span := func(what string) object {
		return says(object{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$`}, what)
	}
	share := func(what string) object {
		return says(object{"type": "number", "exclusiveMinimum": 0, "maximum": 100}, what)
	}
	return document("Alert", "alerts/NAME.yaml: what people are told of.", nil, object{
		"severity": says(object{"enum": []string{"critical", "warning", "info"}}, "How much it matters; warning if it is not said."),
		"event":    says(object{"enum": report.AlertEvents()}, "What is looked at; without one, the nodes that the other keys name."),
		"where":    condition("Condition over labels and traits: which nodes are looked at."),
		"presence": word("Only nodes that are so.", report.Live, report.Late, report.Stale, report.Missing, report.Never),
		"compliance": word("Only nodes whose last run was so.", report.ComplianceOK, report.ComplianceChanged, report.ComplianceDrift,
			report.ComplianceFailed, report.ComplianceNever),
		"channel":      listOrOne("Only nodes of these channels."),
		"hub":          listOrOne("Only nodes behind these hubs."),
		"node":         listOrOne("Only nodes whose name matches one of these globs."),
		"min":          share("Least percentage of nodes that must be as declared; of " + report.EventThreshold + "."),
		"full":         share("Percentage at which a file system counts as full; of " + report.EventDisk + "."),
		"runs":         says(object{"type": "integer", "minimum": 1, "maximum": 1000}, "So many runs in a row; of "+report.EventFailed+" and "+report.EventDrift+"."),
		"within":       span("How long before the end of a certificate people are told; of " + report.EventExpiring + "."),
		"for":          span("How long it must be so before people are told."),
		"leave":        span("How long it must not be so before people are told that it is over."),
		"repeat":       span("After how long people are told again, while it goes on."),
		"group_by":     listOrOne("What is told in one notice: hub, channel or the name of a label."),
		"inhibited_by": listOrOne("Rules or events while which nobody is told of this."),
		"quarantine": strict(nil, object{
			"until":  says(object{"enum": []string{report.UntilWell, report.UntilReleased}}, "How a node leaves it: by itself when it is well (the default), or by vigo node release."),
			"most":   share("Percentage of all nodes that may be in it; 5 if it is not said."),
			"notify": listOrOne("Receivers that are told of it; those of the rule if it is not said."),
		}, "Nodes that are found are put in quarantine."),
		"notify": listOrOne("Receivers, by their names in the file of the service; all of them if it is not said."),
	})
}
