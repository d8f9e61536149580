package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
)

// A Pin has a node stay with the bundle it has, whatever its channel is given, such as while somebody looks into something on it.
// What it has is enforced as ever, with the modes that are set. A bundle that is revoked holds nobody.
type Pin struct {
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty"`
}

// maxPinReason bounds the reason of a pin, in bytes.
const maxPinReason = 500

func (p Pin) stands() bool { return !p.Since.IsZero() }

// Pinned reads the pin of a node; the zero value when there is none.
func (s State) Pinned() (p Pin, err error) {
	found, err := s.readJSON(pinFile, &p)
	switch {
	case err == nil && found && !p.stands():
		err = fmt.Errorf("reading %s: it does not say since when", pinFile)
	case err == nil:
		return p, nil
	}
	return Pin{}, fault.WithHint(err, "`vigo-agent unpin` takes the pin away, `vigo-agent pin` writes it anew")
}

// SetPin has the node of a state directory stay with the bundle it has, whose digest it returns, from its next cycle on. Done again
// it gives another reason.
func SetPin(dir string, p Pin) (digest string, err error) {
	s := State{dir}
	if _, err := s.LoadEnrolment(); err != nil {
		return "", err
	}
	doc, err := s.loadTrust()
	switch {
	case err != nil:
		return "", err
	case doc.Enforced.Digest == "":
		return "", fmt.Errorf("pinning the node: %w", ErrNothing)
	case len(p.Reason) > maxPinReason:
		return "", fmt.Errorf("pinning the node: the reason has more than %d bytes", maxPinReason)
	}
	if was, err := s.Pinned(); err == nil && was.stands() {
		p.Since = was.Since
	}
	return doc.Enforced.Digest, s.writeJSON(pinFile, p)
}

// TakePin lets the node follow its channel again, from its next cycle on. It says whether there was a pin.
func TakePin(dir string) (was bool, err error) {
	s := State{dir}
	if _, err := s.LoadEnrolment(); err != nil {
		return false, err
	}
	err = os.Remove(s.Path(pinFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// readPin looks whether somebody has pinned the node since the last cycle. What cannot be read counts as a pin: whoever wrote it did
// not want the node to go on.
func (a *Agent) readPin() {
	p, err := a.State.Pinned()
	if err != nil {
		a.trouble(err)
		p = Pin{Since: a.Now()}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if p.stands() != a.pin.stands() {
		a.Log.Info("the pin of this node", "pinned", p.stands(), "reason", p.Reason)
	}
	a.pin = p
}

// pinnedTo is the digest that a pin has the node stay with; none: "".
func (a *Agent) pinnedTo(p bundle.Pointer, doc trustDoc) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.pin.stands() || slices.Contains(p.Revoked, doc.Enforced.Digest) {
		return ""
	}
	return doc.Enforced.Digest
}
