package agent

import (
	"errors"
	"fmt"

	"vigo.dev/pkg/fault"
)

// ErrNotEnrolled says that the state directory belongs to no fleet yet.
var ErrNotEnrolled = fault.WithHint(errors.New("this host is not enrolled"),
	"run `vigo-agent enroll --server URL --token TOKEN`; `vigo token create` makes a token")

// LoadEnrolment reads who this node is; [ErrNotEnrolled] if that was never said.
func (s State) LoadEnrolment() (Enrolment, error) {
	var e Enrolment
	found, err := s.readJSON(enrolmentFile, &e)
	if err != nil {
		return e, again(err)
	}
	if !found {
		return e, ErrNotEnrolled
	}
	if e.Node == "" || e.Fleet == "" || e.Channel == "" {
		return e, again(fmt.Errorf("reading %s: it does not say node, fleet and channel", enrolmentFile))
	}
	return e, nil
}

// SaveEnrolment keeps who this node is.
func (s State) SaveEnrolment(e Enrolment) error { return s.writeJSON(enrolmentFile, e) }
