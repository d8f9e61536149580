package api

import (
	"encoding/json"
	"fmt"

	"vigo.dev/pkg/identity"
)

const enrolmentSeal = "enrolment"

// sealed is what the authority signs of an answer: whom it is for, and whom to trust. The certificate binds it to the key
// of one node.
func (a EnrollAnswer) sealed() ([]byte, error) {
	return json.Marshal(struct {
		Node, Fleet, Channel string
		Labels               map[string]string `json:",omitempty"`
		Certificate, CA      string
		TrustRoot            []byte
	}{a.Node, a.Fleet, a.Channel, a.Labels, a.Certificate, a.CA, a.TrustRoot})
}

// SealedBy returns the answer with the seal of the fleet's authority.
func (a EnrollAnswer) SealedBy(ca *identity.CA) (EnrollAnswer, error) {
	data, err := a.sealed()
	if err == nil {
		a.Seal, err = ca.Seal(enrolmentSeal, data)
	}
	if err != nil {
		return EnrollAnswer{}, fmt.Errorf("sealing an enrolment: %w", err)
	}
	return a, nil
}

// checkSeal refuses an answer whose authority, which must have been compared with the token, did not give it.
func (a EnrollAnswer) checkSeal() error {
	data, err := a.sealed()
	if err != nil {
		return err
	}
	return identity.CheckSeal([]byte(a.CA), enrolmentSeal, data, a.Seal)
}
