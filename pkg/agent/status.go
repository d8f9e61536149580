package agent

import (
	"errors"
	"slices"
	"time"

	"vigo.dev/pkg/guard"
	"vigo.dev/pkg/trust"
)

// Status is what the state directory of an agent says, whether the agent runs or not.
type Status struct {
	Enrolment
	Root    int64         `json:"root"` // version of the trust root in force
	Pointer string        `json:"pointer,omitempty"`
	Bundle  string        `json:"bundle,omitempty"`
	Commit  string        `json:"commit,omitempty"`
	Turn    *Turn         `json:"turn,omitempty"`   // why it is this bundle; nil: there is none
	Pinned  *Pin          `json:"pinned,omitempty"` // nil: it is not
	Spooled int           `json:"spooled"`
	Pending []string      `json:"pendingRefreshes,omitempty"`
	Aside   []string      `json:"aside,omitempty"`   // bundles that are not tried again, with the reason
	Guarded []guard.State `json:"guarded,omitempty"` // changes that wait for a check-in, or were taken back
	// Ordered are the modes that people have set, over what policy says; OrderedAt is when.
	Ordered   map[string]bool `json:"orderedModes,omitempty"`
	OrderedAt time.Time       `json:"orderedAt,omitzero"`
}

// ReadStatus reads the state directory without changing it.
func ReadStatus(dir string) (Status, error) {
	s := State{dir}
	e, err := s.LoadEnrolment()
	if err != nil {
		return Status{}, err
	}
	root, err := s.LoadRoot()
	if err != nil {
		return Status{}, err
	}
	trusted, err1 := s.loadTrust()
	var owed journalDoc
	_, err2 := s.readJSON(journalFile, &owed)
	if err := errors.Join(err1, err2); err != nil {
		return Status{}, err
	}
	st := Status{Enrolment: e, Root: root.Version, Bundle: trusted.Enforced.Digest, Commit: trusted.Enforced.Commit, Spooled: (&spool{dir: s.Path(spoolDir)}).Len()}
	st.Turn = turnOf(e.Node, trusted)
	if root.Enough(trust.RoleModes(e.Channel), trusted.Order.Keys) && len(trusted.Order.Modes) > 0 {
		st.Ordered, st.OrderedAt = trusted.Order.Modes, trusted.Order.Given
	}
	if trusted.Pointer.Seq > 0 {
		st.Pointer = trusted.Pointer.Version()
	}
	pin, err := s.Pinned()
	if err != nil {
		return Status{}, err
	}
	if pin.stands() {
		st.Pinned = &pin
	}
	for name := range owed.Pending {
		st.Pending = append(st.Pending, name)
	}
	slices.Sort(st.Pending)
	for digest, why := range trusted.Aside {
		st.Aside = append(st.Aside, digest+": "+why.Reason)
	}
	slices.Sort(st.Aside)
	if st.Guarded, err = guard.Read(s.Path(guardFile)); err != nil {
		return Status{}, err
	}
	return st, nil
}

// Reverted names the resources whose guarded change was taken back.
func (s Status) Reverted() []string {
	var names []string
	for _, g := range s.Guarded {
		if g.State == guard.StateReverted {
			names = append(names, g.Resource)
		}
	}
	return names
}
