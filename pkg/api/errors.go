package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
)

// An Error is a refusal as it goes over the wire. Code is stable; Message and Hint are for people.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Advice  string `json:"hint,omitempty"`
	Status  int    `json:"-"` // HTTP status
}

func (e *Error) Error() string { return e.Message }

// Hint implements fault.Hinter.
func (e *Error) Hint() string { return e.Advice }

// Is reports whether target is an Error with the same code, so that sentinels can be compared over the wire.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// The refusals. Compare with errors.Is; they hold over the wire.
var (
	ErrUnknownNode  = &Error{"unknown-node", "node is not enrolled here", "enrol it: `vigo token create`, then `vigo-agent enroll`", http.StatusForbidden}
	ErrRetired      = &Error{"retired", "node was retired", "remove its state directory and enrol it again with a new token", http.StatusForbidden}
	ErrUnauthorized = &Error{"unauthorized", "not signed in, or not allowed", "give an operator token (--token-file or VIGO_TOKEN)", http.StatusUnauthorized}
	ErrForbidden    = &Error{"forbidden", "the role of this operator does not allow that", "", http.StatusForbidden}
	ErrWrongNode    = &Error{"wrong-node", "certificate, signature and body do not name the same node", "", http.StatusForbidden}
	ErrNotFound     = &Error{"not-found", "not found", "", http.StatusNotFound}
	ErrTaken        = &Error{"name-taken", "a node of this name is enrolled with another key", "`vigo node retire NAME` frees the name, or enrol under another one", http.StatusConflict}
	ErrTooMany      = &Error{"too-many", "too many requests", "", http.StatusTooManyRequests}
	ErrTooLarge     = &Error{"too-large", "body exceeds its limit", "", http.StatusRequestEntityTooLarge}
	ErrBadRequest   = &Error{"bad-request", "request cannot be understood", "", http.StatusBadRequest}
	ErrSignature    = &Error{"signature", "request signature not valid", "", http.StatusUnauthorized}
	ErrDigest       = &Error{"content-digest", "body does not match its content digest", "", http.StatusBadRequest}
	ErrReplay       = &Error{"replay", "request was seen before", "a node that was restored from a backup must be enrolled again", http.StatusConflict}
	ErrSkew         = &Error{"clock", "clock differs too much", "set the clock of the node", http.StatusUnauthorized}
	ErrToken        = &Error{"token", "token not valid", "`vigo token create` makes a new one", http.StatusForbidden}
	ErrInternal     = &Error{"internal", "the service failed; its log says why", "", http.StatusInternalServerError}
)

// ErrUnreachable says that the service was not reached or did not answer; nothing is known of the request.
var ErrUnreachable = errors.New("report service cannot be reached")

// Refuse returns the refusal e with its own message.
func Refuse(e *Error, format string, args ...any) *Error {
	out := *e
	out.Message = fmt.Sprintf(format, args...)
	return &out
}

// wireError finds what to say of an error: refusals pass, everything else is internal and stays in the log.
func wireError(err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	for _, m := range []struct {
		is   error
		want *Error
	}{
		{identity.ErrSignature, ErrSignature}, {identity.ErrDigest, ErrDigest}, {identity.ErrReplay, ErrReplay},
		{identity.ErrSkew, ErrSkew}, {identity.ErrToken, ErrToken}, {identity.ErrExpired, ErrToken}, {identity.ErrUsed, ErrToken},
		{identity.ErrNotAllowed, ErrToken}, {identity.ErrCSR, ErrBadRequest}, {identity.ErrName, ErrBadRequest},
		{context.DeadlineExceeded, ErrTooMany}, {context.Canceled, ErrTooMany},
	} {
		if errors.Is(err, m.is) {
			out := Refuse(m.want, "%s", err)
			if hints := fault.Hints(err); len(hints) > 0 {
				out.Advice = hints[0]
			}
			return out
		}
	}
	return ErrInternal
}
