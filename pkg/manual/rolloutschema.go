package manual

import "vigo.dev/pkg/rollout"

func rolloutSchema() object {
	span := func(what string) object {
		return says(object{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$`}, what)
	}
	share := func(what string) object {
		return says(object{"anyOf": []object{{"type": "string", "pattern": `^[0-9.]+%$`}, {"type": "integer", "minimum": 0}}}, what)
	}
	word := func(what string, words ...any) object { return says(object{"enum": words}, what) }
	count := func(what string) object { return says(object{"type": "integer", "minimum": 1}, what) }
	limit := func(what string) object {
		return strict([]string{"percent", "min"}, object{
			"percent": says(object{"type": "number", "exclusiveMinimum": 0, "maximum": 100}, "Percentage of the nodes that have it."),
			"min":     count("So many nodes at least."),
		}, what)
	}
	gate := strict(nil, object{
		"soak":     span("How long a node must have been well; 10m if it is not said."),
		"checkins": count("How often it must have reported since it took it over; 2 if it is not said."),
		"success":  share("How many of the nodes of the stage must be healthy, of those that are not excused; 98% if it is not said."),
		"on_empty": word("What a stage without nodes does; block if it is not said.", rollout.Block, rollout.Skip),
		"ask":      asked(span, "Who is asked outside of the fleet before the next stage begins: all of them must accept."),
	}, "What must be true before the next stage begins.")
	stage := strict([]string{"name", "size"}, object{
		"name": says(object{"type": "string"}, "Name."),
		"when": condition("Condition over labels: which nodes the stage is of."),
		"size": share("How many of them have the new bundle when the stage is over, as a percentage or a number."),
		"gate": gate,
		"approve": strict(nil, object{
			"count":        count("How many people; 1 if it is not said, and none if nothing but ask is."),
			"by":           listOrOne("Names of operators who may; without it, every operator."),
			"file":         says(object{"type": "string", "pattern": `^rollouts/approvals/.+\.yaml$`}, "File in which they may agree by a signed commit, too."),
			"only_commits": says(object{"type": "boolean"}, "Whether that is the only way; the controller counts them itself."),
			"ask":          asked(span, "Who is asked outside of the fleet, when the people have agreed: all of them must accept."),
		}, "Who must agree before the stage begins."),
	}, "A part of the rollout.")
	check := strict([]string{"name", "expr"}, object{
		"name":  says(object{"type": "string"}, "Name."),
		"expr":  condition("Condition over labels, traits and the last run (run.failed, run.seconds, …) that must hold for a node that has the new bundle; control(…) is the median of those that do not have it."),
		"for":   count("Reports in sequence in which it must not hold before the node counts as failed; 2 if it is not said."),
		"abort": limit("How many nodes may fail it before the rollout is aborted; without it, they count among those that failed."),
	}, "A check of nodes that have it.")
	s := document("Rollout", "rollouts/CHANNEL.yaml: how a channel is given what is new.", nil, object{
		"channel":       says(object{"type": "string"}, "The channel, as in the name of the file."),
		"stages":        says(object{"type": "array", "minItems": 1, "maxItems": rollout.MaxStages, "items": stage}, "In sequence; the last one is of all nodes. One stage of all nodes if none is given."),
		"gate":          gate,
		"deadline":      span("How long a stage may take before the rollout is paused; time outside of the window does not count. 2h if it is not said."),
		"abort":         strict(nil, object{"failed": limit("Nodes that failed with it."), "lost": limit("Nodes that went silent with it.")}, "When it is aborted: when both numbers of one of them are reached."),
		"on_abort":      word("Whether nodes that have it keep it, or go back; hold if it is not said.", rollout.Hold, rollout.Revert),
		"max_in_flight": share("How many nodes may be between taking it and being healthy at a time."),
		"checks":        says(object{"type": "array", "maxItems": rollout.MaxChecks, "items": check}, "What must hold for nodes that have it."),
		"window":        windowName(),
		"supersede":     word("What a newer commit does to a rollout under way; restart if it is not said.", rollout.Restart, rollout.FinishStage, rollout.Queue),
		"cohort":        word("Whether other nodes are first each time; release if it is not said.", rollout.EachRelease, rollout.Fixed),
		"strategy":      word("Whether there are stages, or everybody gets it at once under the rules of abort; staged if it is not said.", "staged", "immediate"),
		"unmatched":     word("Where nodes go that meet no condition; error if it is not said: the last stage may have none.", "last-stage", "error"),
		"lost_after":    count("After how many of its intervals a silent node is lost; 3 if it is not said."),
		"reboot_grace":  span("How long a node may be silent that is about to reboot; 10m if it is not said."),
	})
	delete(s["properties"].(object), "name")
	return s
}

// asked is who is asked outside of the fleet.
func asked(span func(string) object, about string) object {
	return says(object{"anyOf": []object{listOrOne("Names of webhooks."), strict([]string{"of"}, object{
		"of":       listOrOne("Names of webhooks in the file of receivers of the report service."),
		"deadline": span("How long they may take to accept; that of the stage if it is not said."),
	}, "Who is asked, and for how long.")}}, about)
}
