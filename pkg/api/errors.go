package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
)

// An Error is a refusal as it goes over the wire. Code is stable; Message and Hint are for people.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Advice  string `json:"hint,omitempty"`
	Status  int    `json:"-"` // HTTP status
	// Retry is how long to wait before asking again, in whole seconds (header Retry-After); 0: nothing was said.
	Retry time.Duration `json:"-"`
	// Date is the time of who answered; zero: it did not say.
	Date time.Time `json:"-"`
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
	ErrUnknownNode  = refusal(http.StatusForbidden, "unknown-node", "node is not enrolled here", "enrol it: `vigo token create`, then `vigo-agent enroll`")
	ErrRetired      = refusal(http.StatusForbidden, "retired", "node was retired", "to take it in again, make a token and run `vigo-agent enroll --force`: it gets a new key")
	ErrUnauthorized = refusal(http.StatusUnauthorized, "unauthorized", "not signed in, or not allowed", "is the operator configuration (--config or VIGO_CONFIG) that of this service?")
	ErrRevoked      = refusal(http.StatusUnauthorized, "revoked", "the certificate is revoked, or was not issued by this service", "an admin makes a new one: `vigo operator certificate create`")
	ErrForbidden    = refusal(http.StatusForbidden, "forbidden", "the role of this operator does not allow that", "")
	ErrWrongNode    = refusal(http.StatusForbidden, "wrong-node", "certificate, signature and body do not name the same node", "")
	ErrNotFound     = refusal(http.StatusNotFound, "not-found", "not found", "")
	ErrTaken        = refusal(http.StatusConflict, "name-taken", "a node of this name is enrolled with another key", "`vigo node retire NAME` frees the name, or enrol under another one")
	ErrConflict     = refusal(http.StatusConflict, "conflict", "that cannot be done now", "")
	ErrTooLarge     = refusal(http.StatusRequestEntityTooLarge, "too-large", "body exceeds its limit", "")
	ErrMediaType    = refusal(http.StatusUnsupportedMediaType, "media-type", "body is not application/json", "")
	ErrBadRequest   = refusal(http.StatusBadRequest, "bad-request", "request cannot be understood", "")
	ErrSignature    = refusal(http.StatusUnauthorized, "signature", "request signature not valid", "")
	ErrDigest       = refusal(http.StatusBadRequest, "content-digest", "body does not match its content digest", "")
	ErrReplay       = refusal(http.StatusConflict, "replay", "request was seen before", "a node that was restored from a backup must be enrolled again")
	ErrSkew         = refusal(http.StatusUnauthorized, "clock", "clock differs too much", "set the clock of the node")
	ErrToken        = refusal(http.StatusForbidden, "token", "token not valid", "`vigo token create` makes a new one")
	ErrNotApproved  = refusal(http.StatusForbidden, "not-approved", "the site does not approve this node", "its operators decide with the program that --approve-with of the service names")
	ErrUndelivered  = refusal(http.StatusFailedDependency, "undelivered", "the receiver did not take it", "")
	ErrInternal     = refusal(http.StatusInternalServerError, "internal", "the service failed; its log says why", "")
	// The three that pass by themselves; they say when to come back.
	ErrTooMany  = later(refusal(http.StatusTooManyRequests, "too-many", "too many requests", ""), 30*time.Second)
	ErrBusy     = later(refusal(http.StatusServiceUnavailable, "busy", "the service is busy", ""), 5*time.Second)
	ErrApproval = later(refusal(http.StatusServiceUnavailable, "approval", "the site cannot be asked for its approval; the log of the service says why", ""), 30*time.Second)
	ErrStore    = later(refusal(http.StatusServiceUnavailable, "store", "the service cannot keep anything at the moment; its log says why", "has the disk of its data folder room?"), 30*time.Second)
)

func refusal(status int, code, message, hint string) *Error {
	return &Error{Code: code, Message: message, Advice: hint, Status: status}
}

func later(e *Error, retry time.Duration) *Error {
	e.Retry = retry
	return e
}

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
		if hints := fault.Hints(err); own.Advice == "" && len(hints) > 0 { // of what is around it
			out := *own
			out.Advice = hints[0]
			return &out
		}
		return own
	}
	for _, m := range []struct {
		is   error
		want *Error
	}{
		{identity.ErrSignature, ErrSignature}, {identity.ErrDigest, ErrDigest}, {identity.ErrReplay, ErrReplay},
		{identity.ErrSkew, ErrSkew}, {identity.ErrToken, ErrToken}, {identity.ErrExpired, ErrToken}, {identity.ErrUsed, ErrToken},
		{identity.ErrNotAllowed, ErrToken}, {identity.ErrCSR, ErrBadRequest}, {identity.ErrName, ErrBadRequest},
		{context.DeadlineExceeded, ErrBusy}, {context.Canceled, ErrBusy},
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
