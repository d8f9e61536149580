package agent

import "fmt"

// crashLimit is how often a run with a new bundle may be begun without coming to its end before the agent goes back to
// the bundle before it.
const crashLimit = 3

// trial counts that a run begins, as long as no run with the bundle in force has come to its end. A bundle that is
// proven costs no write.
func (a *Agent) trial() error {
	doc := a.trustCopy()
	if doc.Attempts < 0 || a.DryRun {
		return nil
	}
	if doc.Attempts >= crashLimit && doc.Previous.Digest != "" {
		reason := fmt.Sprintf("the agent did not survive %d runs with it", doc.Attempts)
		doc.Aside = map[string]aside{doc.Enforced.Digest: {Agent: a.Version, Reason: reason}}
		a.refusals.Add(a.Now(), "aside", reason, doc.Enforced.Digest)
		a.Log.Error("going back to the bundle before", "digest", doc.Enforced.Digest, "reason", reason)
		doc.Enforced, doc.Attempts, doc.Modules = doc.Previous, -1, nil
		a.mu.Lock()
		a.loaded = nil
		a.mu.Unlock()
		return a.saveTrust(doc)
	}
	doc.Attempts++
	return a.saveTrust(doc)
}

// proven records that a run came to its end; -1 stands for a bundle that needs no counting any more.
func (a *Agent) proven() error {
	doc := a.trustCopy()
	if doc.Attempts < 0 || a.DryRun {
		return nil
	}
	doc.Attempts = -1
	return a.saveTrust(doc)
}
