// Package fault carries what a person needs to know beside an error: what to do about it, and with which
// exit code a program ends because of it.
//
// It refuses to know about any particular failure: sentinels live next to the noun they are about
// (host.ErrNotFound, trust.ErrRollback), and fault only decorates them.
package fault

import "errors"

// Code is the exit status a program ends with because of an error.
type Code int

// The exit codes of both binaries. They are documented in docs/exit-codes.md and do not change.
const (
	OK          Code = 0   // it worked; the host conforms; the fleet is well
	Failure     Code = 1   // the command could not do its work; for `vigo status`: there are problems
	Drift       Code = 2   // a dry run found drift; for `vigo status`: the service cannot be reached; for `vigo report doctor`: there are warnings
	Partial     Code = 3   // some resources failed, the rest converged
	Refused     Code = 4   // a gate refused
	NotVerified Code = 5   // a signature, pointer or bundle was refused
	Usage       Code = 64  // the command line cannot be understood (sysexits.h EX_USAGE)
	Interrupted Code = 130 // ended by SIGINT or SIGTERM
)

type decorated struct {
	err  error
	hint string
	code Code
}

func (d *decorated) Error() string { return d.err.Error() }
func (d *decorated) Unwrap() error { return d.err }

// WithHint returns err with advice for the person who reads it. A nil err stays nil.
func WithHint(err error, hint string) error {
	if err == nil || hint == "" {
		return err
	}
	return &decorated{err: err, hint: hint}
}

// WithCode returns err with the exit code it should end the program with. A nil err stays nil.
func WithCode(err error, code Code) error {
	if err == nil {
		return nil
	}
	return &decorated{err: err, code: code}
}

// Hinter is an error that carries advice itself.
type Hinter interface{ Hint() string }

// Hints returns the advice carried by err and the errors it wraps, outermost first, each once.
func Hints(err error) []string {
	var hints []string
	seen := map[string]bool{}
	walk(err, func(e error) bool {
		hint := ""
		switch e := e.(type) {
		case *decorated:
			hint = e.hint
		case Hinter:
			hint = e.Hint()
		}
		if hint != "" && !seen[hint] {
			seen[hint] = true
			hints = append(hints, hint)
		}
		return true
	})
	return hints
}

// CodeOf returns the outermost exit code carried by err, [Failure] when it carries none, and [OK] for nil.
func CodeOf(err error) Code {
	if err == nil {
		return OK
	}
	code := Failure
	walk(err, func(e error) bool {
		if d, ok := e.(*decorated); ok && d.code != OK {
			code = d.code
			return false
		}
		return true
	})
	return code
}

// walk visits err and all it wraps, depth first, until visit returns false.
func walk(err error, visit func(error) bool) bool {
	for err != nil {
		if !visit(err) {
			return false
		}
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				if !walk(e, visit) {
					return false
				}
			}
			return true
		}
		err = errors.Unwrap(err)
	}
	return true
}
