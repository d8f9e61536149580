package policy

import (
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/rollout"
)

func (r *reader) stages(out *Rollout, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "wrong-type", "- {name: canary, size: 5%}", "stages must be a list, not %s", describe(n))
		return
	}
	for _, item := range n.Content {
		entries, ok := r.mapping(item, "a stage")
		if !ok {
			continue
		}
		r.only(entries, "name", "when", "size", "gate", "approve")
		var st rollout.Stage
		when := Text{Pos: r.pos(item)}
		for _, e := range entries {
			switch e.key {
			case "name":
				st.Name = r.str(e.value, e.key)
			case "when":
				when = r.text(e.value, e.key)
				st.When = when.S
			case "size":
				st.Size = r.share(e.value, e.key)
			case "gate":
				st.Gate = r.gate(e.value)
			case "approve":
				st.Approve = r.approve(e.value)
			}
		}
		out.Spec.Stages, out.Whens = append(out.Spec.Stages, st), append(out.Whens, when)
	}
}

func (r *reader) gate(n *yaml.Node) (g rollout.Gate) {
	entries, ok := r.mapping(n, "a gate")
	if !ok {
		return g
	}
	r.only(entries, "soak", "checkins", "success", "on_empty", "ask")
	for _, e := range entries {
		switch e.key {
		case "soak":
			g.Soak = r.upTo(e.value, e.key, 7*24*time.Hour)
		case "checkins":
			g.Checkins = r.upToNumber(e.value, e.key, 1000)
		case "success":
			g.Success = r.share(e.value, e.key).Percent
			if g.Success == 0 {
				r.fail(e.value, "bad-value", "98%", "success must be a percentage above 0, not %s", describe(e.value))
			}
		case "on_empty":
			g.OnEmpty = rollout.OnEmpty(r.oneOf(e.value, e.key, string(rollout.Block), string(rollout.Skip)))
		case "ask":
			g.Ask = r.ask(e.value)
		}
	}
	return g
}

// gateOver fills in what a stage does not say from what is said of all.
func gateOver(g, all rollout.Gate) rollout.Gate {
	if g.Soak == 0 {
		g.Soak = all.Soak
	}
	if g.Checkins == 0 {
		g.Checkins = all.Checkins
	}
	if g.Success == 0 {
		g.Success = all.Success
	}
	if g.OnEmpty == "" {
		g.OnEmpty = all.OnEmpty
	}
	if len(g.Ask.Of) == 0 {
		g.Ask = all.Ask
	}
	return g
}

func (r *reader) approve(n *yaml.Node) (a rollout.Approve) {
	entries, ok := r.mapping(n, "who must approve")
	if !ok {
		return a
	}
	r.only(entries, "count", "by", "file", "only_commits", "ask")
	if slices.ContainsFunc(entries, func(e entry) bool { return e.key != "ask" }) || len(entries) == 0 {
		a.Count = 1 // with nothing but webhooks, no people are asked
	}
	for _, e := range entries {
		switch e.key {
		case "count":
			a.Count = r.upToNumber(e.value, e.key, 16)
		case "by":
			a.By = r.strs(e.value, e.key)
		case "file":
			a.File = r.consentFile(e.value)
		case "only_commits":
			a.OnlyCommits = r.boolean(e.value, e.key)
		case "ask":
			a.Ask = r.ask(e.value)
		}
	}
	return a
}

func (r *reader) aborts(s *rollout.Spec, n *yaml.Node) {
	entries, ok := r.mapping(n, "when it is aborted")
	if !ok {
		return
	}
	r.only(entries, "failed", "lost")
	for _, e := range entries {
		limit := r.limit(e.value)
		if e.key == "failed" {
			s.Abort.Failed = limit
		} else if e.key == "lost" {
			s.Abort.Lost = limit
		}
	}
}

func (r *reader) limit(n *yaml.Node) (l rollout.Limit) {
	entries, ok := r.mapping(n, "a limit")
	if !ok {
		return l
	}
	r.only(entries, "percent", "min")
	for _, e := range entries {
		switch e.key {
		case "percent":
			l.Percent = r.percent(e.value, e.key)
		case "min":
			l.Min = r.upToNumber(e.value, e.key, 1_000_000)
		}
	}
	if l.Percent == 0 || l.Min == 0 {
		r.fail(n, "missing-key", "{percent: 5, min: 3}", "a limit needs a percentage and a least number of nodes: alone, either stops too early or too late")
	}
	return l
}

func (r *reader) checks(s *rollout.Spec, n *yaml.Node) (texts []Text) {
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "wrong-type", "- {name: serves, expr: services.nginx.running}", "checks must be a list, not %s", describe(n))
		return nil
	}
	for _, item := range n.Content {
		entries, ok := r.mapping(item, "a check")
		if !ok {
			continue
		}
		r.only(entries, "name", "expr", "for", "abort")
		var c rollout.Check
		text := Text{Pos: r.pos(item)}
		for _, e := range entries {
			switch e.key {
			case "name":
				c.Name = r.str(e.value, e.key)
			case "expr":
				text = r.text(e.value, e.key)
				c.Expr = text.S
			case "for":
				c.For = r.upToNumber(e.value, e.key, 100)
			case "abort":
				c.Abort = r.limit(e.value)
			}
		}
		s.Checks, texts = append(s.Checks, c), append(texts, text)
	}
	return texts
}

// share reads a number of nodes or a percentage.
func (r *reader) share(n *yaml.Node, what string) rollout.Share {
	s, err := rollout.ParseShare(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		r.fail(n, "bad-value", "5%, or a number of nodes", "%s must be a percentage or a number of nodes, not %s", what, describe(n))
	}
	return s
}
