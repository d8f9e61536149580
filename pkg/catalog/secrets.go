package catalog

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"text/template"
	"time"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/policy"
)

// Secrets are the values of the secrets that one node may see, in memory alone.
type Secrets struct {
	values       map[string]Secret
	salt         []byte
	placeholders bool
	until        time.Time // see [AwaitedSecrets]
}

// A Secret is one value. Version is the digest of the file in git that it was read from; empty: it is from elsewhere. Lacks says
// why there is no value.
type Secret struct{ Value, Version, Lacks string }

// NewSecrets makes the secrets of a node. With salt, which the node alone has, digests over what holds secrets cannot be used
// to guess them.
func NewSecrets(values map[string]Secret, salt []byte) *Secrets {
	return &Secrets{values: values, salt: salt}
}

// AwaitedSecrets are those of a node to which nothing was sealed yet, as it has just joined: until then, what needs one waits for
// the controller, which is no failure.
func AwaitedSecrets(until time.Time) *Secrets { return &Secrets{until: until} }

// Placeholders stand in for every secret where a policy is looked at without a node: plan, tests.
func Placeholders() *Secrets { return &Secrets{placeholders: true} }

// placeholder stands where the value of a secret would be.
func placeholder(name string) string { return "(secret " + name + ")" }

// lacks returns why a secret cannot be used, or "". A value that was sealed for another version of the policy is none.
func (s *Secrets) lacks(p *policy.Policy, name string) string {
	if s != nil && s.placeholders {
		return ""
	}
	place, known := p.Fleet.Secrets.Locate(name)
	if !known {
		return "the policy has no such secret"
	}
	if s == nil {
		return "this run was given no secrets"
	}
	v, ok := s.values[name]
	switch {
	case v.Lacks != "":
		return v.Lacks
	case !ok:
		return "it is not sealed to this node: no role that its labels give it uses it, or the controller could not open it (vigo status), or has not done so yet"
	case place.Version != v.Version:
		return "what is sealed to this node is another version of it: the controller has not caught up"
	}
	return ""
}

// errStandIn says why a resource cannot be made where no secret is known.
var errStandIn = errors.New("its secrets are known on its nodes alone, and what stands in for them is of another form")

// standIn says whether a placeholder stands for one of these secrets.
func (s *Secrets) standIn(names []string) bool { return s != nil && s.placeholders && len(names) > 0 }

// awaited says what a resource waits for that lacks a secret; nil: it does not wait.
func (s *Secrets) awaited(name string) error {
	if s == nil || s.until.IsZero() {
		return nil
	}
	return &host.Wait{Reason: fmt.Sprintf("it waits for the controller to seal secret %s to this node, which has just joined; from %s on that is a failure", name, s.until.UTC().Format("15:04:05 MST"))}
}

// value returns the value of a secret, and a placeholder where there is none; what it is rendered into is not used then.
func (s *Secrets) value(name string) string {
	if s != nil && !s.placeholders {
		if v, ok := s.values[name]; ok && v.Lacks == "" {
			return v.Value
		}
	}
	return placeholder(name)
}

// digest takes the place of a plain digest where secrets are in what it is made over.
func (s *Secrets) digest(plain string) string {
	if s == nil || len(s.salt) == 0 {
		return sha([]byte("secret " + plain))
	}
	sum := hmac.New(sha256.New, s.salt)
	sum.Write([]byte(plain))
	return "hmac-sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// secretFunc is the name of the function that gives the value of a secret.
const secretFunc = "secret"

// secretsKey is where the secrets of a node are kept beside what templates see. No template can name it, and it shows
// nothing of itself to one that takes everything.
const secretsKey = "\x00secrets"

// opener is what is kept there: a function in a struct prints as an address.
type opener struct{ value func(string) string }

// secretValue is the function for one rendering.
func secretValue(vars map[string]any) template.FuncMap {
	return template.FuncMap{secretFunc: func(name string) (string, error) {
		if o, ok := vars[secretsKey].(*opener); ok {
			return o.value(name), nil
		}
		return "", fmt.Errorf("secrets have no place here")
	}}
}
