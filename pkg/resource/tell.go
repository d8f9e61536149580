package resource

import (
	"context"
	"slices"
)

// A telling has a program take notice of a change: it reads its files again.
type telling struct {
	do    func(context.Context) error
	bound bool // to a step of the plan
	done  bool
}

// Tell is Then for what no later Plan could see to be missing: a program was told to read its files again. It is owed from
// before the first step until it was done, by an account that whoever applies the plan keeps. A plan without steps carries it
// too, for a run that finds it owed by one that died.
func (p Plan) Tell(tell func(context.Context) error) Plan {
	t := &telling{do: tell, bound: len(p.steps) > 0}
	p = p.Then(t.tell)
	p.tells = append(slices.Clone(p.tells), t)
	return p
}

func (t *telling) tell(ctx context.Context) error {
	err := t.do(ctx)
	t.done = err == nil
	return err
}

// Tells reports whether the steps tell a program of what they do, and have not done it yet.
func (p Plan) Tells() bool {
	return slices.ContainsFunc(p.tells, func(t *telling) bool { return t.bound && !t.done })
}

// Untold reports whether a program would have to be told if that were owed: no step has done it.
func (p Plan) Untold() bool {
	return slices.ContainsFunc(p.tells, func(t *telling) bool { return !t.done })
}

// TellRest tells what no step has told.
func (p Plan) TellRest(ctx context.Context) error {
	for _, t := range p.tells {
		if t.done {
			continue
		}
		if err := t.tell(ctx); err != nil {
			return err
		}
	}
	return nil
}
